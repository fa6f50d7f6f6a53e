// Before the first paint, so that a chosen theme does not flash.
const KEPT = "cardiosentry-theme";
const root = document.documentElement;

function kept() {
  try { return localStorage.getItem(KEPT); } catch { return null; }
}

function dark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

if (["dark", "light"].includes(kept())) root.dataset.theme = kept();

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  if (!button) return;
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem(KEPT, root.dataset.theme); } catch { /* it holds for this page, then */ }
    show();
  });
  show();
});
