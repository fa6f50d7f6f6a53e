"""`cardiosentry card`."""

from pathlib import Path

import click


@click.command
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("docs/model-card.md"), show_default=True, metavar="FILE"
)
@click.option("--seed", type=int, default=0, show_default=True)
def command(out: Path, seed: int) -> None:
    """Evaluate the model (cross-validated and leaving one site out) and write the model card. Takes minutes.

    \b
    Example:
      cardiosentry card --out docs/model-card.md
    """
    from models.card import write_model_card

    write_model_card(out, seed, progress=lambda line: click.echo(line, err=True))
    click.echo(f"wrote {out}")
