"""`cardiosentry provenance`."""

from pathlib import Path

import click

from cli.options import setting_options
from contracts.errors import UserError
from contracts.settings import Settings


@click.command
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--bom", type=click.Path(path_type=Path), metavar="FILE", help="Write its bill of materials too, CycloneDX 1.6."
)
@setting_options("keys")
def command(settings: Settings, bundle: Path, bom: Path | None) -> None:
    """Show where BUNDLE comes from, step by step, and verify it: its signature, and each statement of the chain.

    Exits with 1 if the bundle or a link does not hold. A bill of materials is written of any bundle whose signature
    holds; whoever has the bundle comes to the same bytes. Needs no broker.

    \b
    Example:
      cardiosentry provenance bundle --keys keys --bom bom.cdx.json
    """
    from rich.markup import escape
    from rich.tree import Tree

    from cli.tables import console
    from models.provenance import chain
    from models.roots import read_root
    from models.verify import read_bundle, verify_files

    trust = read_root(Path(settings.keys))
    files = read_bundle(bundle)
    verified = verify_files(files, trust.pems, where=bundle)
    tree = Tree(escape(f"{bundle} {verified.manifest.name} {verified.manifest.version} {verified.digest}"))
    links = chain(files, trust.keys)
    for link in links:
        names = ", ".join(trust.root.signers[key].name for key in link.signed_by)
        branch = tree.add(escape(f"{link.step}: {link.fault or f'signed by {names}'}"))
        if link.statement is None:
            continue
        metadata = link.statement.predicate.run_details.metadata
        branch.add(escape(f"run {metadata.invocation_id}, {metadata.started_on} to {metadata.finished_on}"))
        for what, named in (("from", link.statement.dependencies), ("made", link.statement.subjects)):
            for name, sha256 in named.items():
                branch.add(escape(f"{what} {name} sha256:{sha256}"))
        for name, value in link.statement.parameters.items():
            branch.add(escape(f"{name}: {value}"))
    console().print(tree, soft_wrap=True)
    if bom is not None:
        from models.bom import bill_of_materials

        bom.write_bytes(bill_of_materials(files))
    if holes := [link.step for link in links if link.fault]:
        raise UserError(f"{bundle}: expected a whole chain of provenance, got holes at {', '.join(holes)}")
