"""The words that count on a frame are the last one of each person, without those that a standing word decided against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.models.sets.manifest import LabelLine


def last_words(lines: Sequence[LabelLine]) -> dict[str, tuple[LabelLine, ...]]:
    """Return for each file the words that count, in the order in which they were said.

    A word that decides puts aside what others said before it, for as long as its person has a word on the frame: a later
    word of the same person goes on deciding, and a withdrawn one brings the others' back.
    """
    return {file: counting for file, (_, counting) in sorted_words(lines).items() if counting}


def sorted_words(lines: Sequence[LabelLine]) -> dict[str, tuple[tuple[LabelLine, ...], tuple[LabelLine, ...]]]:
    """Return for each file the words that a deciding one put aside, and each person's word that counts.

    Written in this order, with the deciding one first among those that count, they are read as the same again, whatever is
    said or taken back after them. A person's decision that another one followed stands among those put aside, at its
    place: it counts again where the later one is taken back.
    """
    said: dict[str, dict[str, tuple[int, LabelLine]]] = {}
    decided: dict[str, dict[str, int]] = {}
    for place, line in enumerate(lines):
        voices, decisions = said.setdefault(line.file, {}), decided.setdefault(line.file, {})
        voices.pop(line.by, None)
        if line.label == "withdrawn":
            decisions.pop(line.by, None)
            continue
        voices[line.by] = (place, line)
        if line.decides:
            decisions[line.by] = place
    found = {}
    for file, voices in said.items():
        first = max(decided[file].values(), default=0)
        counting = (line for place, line in voices.values() if place >= first)
        aside = (line for place, line in _in_order(voices, decided[file]) if place < first)
        found[file] = tuple(aside), tuple(_deciding(line, decided[file].get(line.by) == first) for line in counting)
    return found


def _in_order(voices: Mapping[str, tuple[int, LabelLine]], decisions: Mapping[str, int]) -> list[tuple[int, LabelLine]]:
    """Return the words on one frame by their places.

    One that goes on deciding stands where its person decided, and a second time where it was said if another one decided
    in between.
    """
    found = []
    for place, line in voices.values():
        decision = decisions.get(line.by)
        if decision is not None:
            found.append((decision, _deciding(line, True)))
        if decision is None or any(decision < other <= place for other in decisions.values()):
            found.append((place, _deciding(line, False)))
    return sorted(found, key=lambda word: word[0])


def _deciding(line: LabelLine, decides: bool) -> LabelLine:
    """Return the word as it decides now: it may go on with what an earlier one of its person decided."""
    return line if line.decides == decides else line.model_copy(update={"decides": decides})
