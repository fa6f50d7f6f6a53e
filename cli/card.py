"""`cardiosentry card`."""

from pathlib import Path

import click


@click.command
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("docs/model-card.md"), show_default=True, metavar="FILE"
)
@click.option("--seed", type=click.IntRange(0), help="Of folds and fits [the one of the published card].")
def command(out: Path, seed: int | None) -> None:
    """Evaluate the model (cross-validated and leaving one site out) and write the model card. Takes minutes.

    \b
    Example:
      cardiosentry card --out docs/model-card.md
    """
    from models.card import write_model_card
    from models.train import DEFAULT_SEED

    write_model_card(out, DEFAULT_SEED if seed is None else seed, progress=lambda line: click.echo(line, err=True))
    click.echo(f"wrote {out}")
