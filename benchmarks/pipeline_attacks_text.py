"""The prose of docs/pipeline-attacks.md, which states no result of its own."""

TEXT = """# Attacks on the training pipeline, measured

Made by `{command}`
at {at}; do not edit. The 918 patients are split at random: half are trusted, half are the
new snapshot. Nothing here is simulated but the poison: a clean snapshot is one of real patients.

## Flipped labels

The share of snapshots (459 patients) that are refused for their labels, over {seeds} splits. The first column is what
clean ones suffer; the policy allows 5%. An attacker who flips the surest labels does the most to a model with each.

{labels}

![Snapshots refused by the share of flipped labels](pipeline-attacks/poisoning.svg)

## A new site is not an attack

Each site is taken out of the trusted rows in turn, so that the snapshot holds it as one never seen. How ill its
patients are and how well the features tell it are then its own, and are fitted before its labels are judged. With all
sites known, the same splits are refused as often as the first column above says. The price is that less is seen of a
new site that flips its own labels, a third of them in the last column: only outcomes of another origin can tell such a
site from one whose patients are different.

{sites}

## Stamps

The share of snapshots (459 patients) in which shared measurements are told, by the number of stamped rows. One value
by itself, and codes, are many patients' by nature: the labels and the model are judged for those.

{stamps}

## Backdoors

Ill patients of the new half are stamped and called healthy; the candidate learns from both halves, the reference from
the trusted one. "Succeeds" is how many of the ill, found without the stamp, the candidate lets go with it; "strongest
excess" how many more than the reference any pattern of the training rows makes it let go (refused above {limit}). The
last columns say in how many of {models} models labels, stamps, the model's own test and any of them told.

{backdoors}

## Clean candidates

Every attack of the gate on candidates that learnt from clean rows, the reference from half of them.

{candidates}
"""
