"""Which trained networks of this workspace a person means: those of a row, or one by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.analysis.naming import TYPED, labels_named, split_choice
from benchmark.data.feeding.splits import count_of
from benchmark.errors import BadInput
from benchmark.files.atomic import damage
from benchmark.plan.keys import Context, canonical, key
from benchmark.plan.nodes import Weights, in_order
from benchmark.running.bench import Bench
from benchmark.settings.registry import Registry
from benchmark.settings.resolve import Setting, resolve
from benchmark.store.ledger import Entry

SHORTEST_KEY = 6  # characters of a key that a person may abbreviate it to
MOST = 8  # rows that a refusal names


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What predicts: the entries that it was trained for, one a fold, and the weights of each.

    All share the setting and the organs; label k + 1 is `organs[k]`.
    """

    setting: Setting
    entries: tuple[Entry, ...]
    keys: tuple[str, ...]
    weights: tuple[Weights, ...]
    organs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A row as a person names it: by a label as tables print it or by the row's name, with `values`
    as `--set` takes them. None: whatever is there, where that leaves no choice; of `folds` all."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None
    preset: str | None = None
    folds: Sequence[int] | None = None
    seed: int = 0


def candidates(bench: Bench, registry: Registry, wanted: Wanted) -> list[Entry]:
    """Return the cells with networks that a row's name means, of one label, data set and preset.

    Raises `BadInput` for a row that was not trained in this workspace, and where several are meant.
    """
    known = [
        entry
        for entry in bench.ledger.compared()
        if entry.part == "test" and entry.state != "failed" and not entry.outside
        if bench.objects.has(entry.key)
    ]
    like = [
        entry
        for entry in known
        if wanted.dataset in (None, entry.dataset) and entry.seed == wanted.seed
        if wanted.preset in (None, entry.preset)
    ]
    found = _named(like, registry, wanted)
    if not found:
        raise _never(known, registry, wanted)
    for what in ("dataset", "preset", "label"):
        if len(several := list(dict.fromkeys(getattr(entry, what) for entry in found))) > 1:
            how = "write one of them in full" if what == "label" else f"choose with --{what}"
            raise BadInput(
                f"{wanted.name} was trained with {len(several)} {what}s ({', '.join(several)}): "
                f"{how}"
            )
    return found


def _named(like: list[Entry], registry: Registry, wanted: Wanted) -> list[Entry]:
    """The cells of the label or row that is meant; with values, of the row with these very values
    alone."""
    if not wanted.values:
        labels = labels_named(wanted.name, (entry.label for entry in like))
        return [entry for entry in like if entry.label in labels]
    name, _, stage = wanted.name.partition("@")
    rows = [e for e in like if e.row == (f"{name}@{stage}" if stage else name)]
    presets = dict.fromkeys(entry.preset for entry in rows)
    values = {
        preset: canonical(resolve(registry, name, preset, wanted.values).overrides)
        for preset in presets
    }
    return [entry for entry in rows if canonical(entry.overrides) == values[entry.preset]]


def _never(known: list[Entry], registry: Registry, wanted: Wanted) -> BadInput:
    """What to say of a row that was not trained here; of a name that is no row, that it is none."""
    typed = TYPED.fullmatch(wanted.name)
    row = typed["row"] if typed else wanted.name
    if row not in {entry.row.partition("@")[0] for entry in known}:
        resolve(registry, row, wanted.preset or "quick", {})  # raises for what is no row
    where = [f"on {wanted.dataset}"] if wanted.dataset else []
    where += [f"preset {wanted.preset}"] if wanted.preset else []
    there = [f"{e.label} on {e.dataset} (preset {e.preset}, seed {e.seed})" for e in known]
    shown = list(dict.fromkeys(there))
    more = f" and {len(shown) - MOST} more" if len(shown) > MOST else ""
    what = (
        f"trained are {', '.join(shown[:MOST])}{more}"
        if shown
        else (f"bench run --method {row} first")
    )
    values = " with these values of --set" if wanted.values else ""
    at = ", ".join([*where, f"seed {wanted.seed}"])
    return BadInput(f"{wanted.name}{values} was never trained in this workspace {at}: {what}")


def trained_row(
    bench: Bench, registry: Registry, found: Sequence[Entry], wanted: Wanted
) -> Trained:
    """Return the networks of a row's cells, one for each of the folds that are wanted, all of one
    split. Raises `BadInput` for a fold that was not trained, and where several splits have them."""
    first = found[0]
    what = f"{first.label} on {first.dataset}, preset {first.preset}, seed {first.seed}"
    chosen = _of_one_split(bench, found, wanted.folds, what)
    if len({repr(canonical(entry.overrides)) for entry in chosen}) > 1:
        raise BadInput(f"{what} has other values in each fold: give one of them with --fold")
    row = first.row.partition("@")[0]
    setting = resolve(registry, row, first.preset, dict(chosen[0].overrides))
    return _trained(bench, setting, [(entry, entry.key) for entry in chosen])


def _of_one_split(
    bench: Bench, found: Sequence[Entry], folds: Sequence[int] | None, what: str
) -> list[Entry]:
    """The entries of `folds` (None: all that the split has), of the one split that has them all."""
    splits: dict[str, dict[int, Entry]] = {}
    for entry in found:
        splits.setdefault(entry.split, {})[entry.fold] = entry
    asked = {
        split: folds or range(count_of(bench.root, found[0].dataset, split)) for split in splits
    }
    whole = [split for split, there in splits.items() if there.keys() >= {*asked[split]}]
    if len(whole) == 1:
        return [splits[whole[0]][fold] for fold in asked[whole[0]]]
    told = {split: ",".join(map(str, sorted(there))) for split, there in splits.items()}
    if len(splits) > 1:
        each = "; ".join(f"{split[:8]}: fold {there}" for split, there in sorted(told.items()))
        raise BadInput(
            f"{what} was trained on {len(splits)} splits ({each}): choose with "
            f"{split_choice(sorted(told))}" + ("" if folds else ", and its folds with --fold")
        )
    ((split, there),) = splits.items()
    shown = ",".join(str(fold) for fold in asked[split] if fold not in there)
    raise BadInput(f"{what} lacks fold {shown}: train it, or give --fold {told[split]}")


def trained_key(bench: Bench, registry: Registry, asked: str) -> Trained:
    """Return the network of one training, named by its key or the beginning of it.

    Raises `BadInput` for a key that is not there, or whose networks read no CT.
    """
    entries = [entry for entry in bench.ledger.entries() if entry.part == "test"]
    whole = len(asked) >= SHORTEST_KEY
    known = {k for entry in entries for k in entry.nodes if bench.objects.has(k)}
    fitting = sorted(k for k in known if k == asked or (whole and k.startswith(asked)))
    if len(fitting) != 1:
        why = f"{len(fitting)} keys begin so" if fitting else "no trained row has it"
        raise BadInput(f"key {asked!r} is not there: {why}; bench plan shows the keys of a row")
    (found,) = fitting
    # where the key is a row's last training, its own scored network; else whichever reads CT
    using = [entry for entry in entries if found in entry.nodes]
    entry = next((entry for entry in using if entry.key == found), using[0])
    row = entry.row.partition("@")[0]
    setting = resolve(registry, row, entry.preset, dict(entry.overrides))
    return _trained(bench, setting, [(entry, found)])


def _trained(bench: Bench, setting: Setting, chosen: list[tuple[Entry, str]]) -> Trained:
    records = [bench.objects.record(key) for _, key in chosen]
    weights = []
    for (entry, node_key), record in zip(chosen, records, strict=True):
        if fault := damage(bench.objects.path(node_key)):
            raise BadInput(f"training {node_key} is damaged ({fault}): bench run trains it again")
        if canonical(setting.ground) != record["ground"]:
            raise _changed(entry)
        atlas = record.get("atlas", "")  # what was stored before there was one has none
        context = Context(fold=record["fold"], seed=record["seed"], atlas=atlas)
        weights.append(_weights(setting, entry, node_key, context))
    return Trained(
        setting=setting,
        entries=tuple(entry for entry, _ in chosen),
        keys=tuple(key for _, key in chosen),
        weights=tuple(weights),
        organs=tuple(records[0]["organs"]),
    )


def _weights(setting: Setting, entry: Entry, node_key: str, context: Context) -> Weights:
    """The weights of a training in the plan of its row, found again by the key."""
    stage = entry.row.partition("@")[2]
    stages = setting.stages
    if stage and stage not in stages:
        raise _changed(entry)
    final = stages[stage] if stage else setting.plan
    node = next((n for n in in_order(final.node) if key(n, context) == node_key), None)
    if node is None:
        raise _changed(entry)
    if node is final.node:
        return replace(final, part="", into="")
    for name, net in node.nets.items():
        if getattr(net.arch, "reads", "") == "image":
            return node[name]
    raise BadInput(f"training {node_key} ({node.title}) reads masks, not a CT")


def _changed(entry: Entry) -> BadInput:
    return BadInput(f"{entry.row} is not what it was when {entry.key} was trained: run it again")
