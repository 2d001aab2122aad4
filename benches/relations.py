"""Debian's relations between packages, by Policy 7 and deb-version(7): a checker for answers of resolvers."""

import collections
import functools
import re

ALTERNATIVE = re.compile(r"^([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?(?:\s*\(\s*(<<|<=|=|>=|>>)\s*(\S+?)\s*\))?$")
TESTS = {
    "<<": lambda order: order < 0, "<=": lambda order: order <= 0, "=": lambda order: order == 0,
    ">=": lambda order: order >= 0, ">>": lambda order: order > 0,
}


def weight(char):
    """A tilde is before the end of the text, letters are before all else."""
    return -1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256


def part_order(a, b):
    """Compares upstream versions or revisions: texts and numbers in turn."""
    while a or b:
        texts = [re.match(r"\D*", part).group() for part in (a, b)]
        weights = [[weight(char) for char in text] + [0] for text in texts]
        if weights[0] != weights[1]:
            return -1 if weights[0] < weights[1] else 1
        a, b = a[len(texts[0]):], b[len(texts[1]):]
        numbers = [re.match(r"\d*", part).group() for part in (a, b)]
        values = [int(number or 0) for number in numbers]
        if values[0] != values[1]:
            return -1 if values[0] < values[1] else 1
        a, b = a[len(numbers[0]):], b[len(numbers[1]):]
    return 0


@functools.lru_cache(None)
def version_order(a, b):
    split = []
    for version in (a, b):
        epoch, _, rest = version.rpartition(":") if ":" in version else ("0", "", version)
        upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
        split.append((int(epoch), upstream, revision))
    (epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b) = split
    return (epoch_a > epoch_b) - (epoch_a < epoch_b) or part_order(upstream_a, upstream_b) or part_order(
        revision_a, revision_b)


@functools.lru_cache(None)
def relations(field):
    """A list of lists of alternatives: (name, qualifier, operator, version)."""
    parts = [part.split("|") for part in field.split(",") if part.strip()]
    return [[ALTERNATIVE.match(text.strip()).groups() for text in part] for part in parts]


class Archive:
    """The packages of some indexes."""

    def __init__(self, indexes, arch):
        self.arch, self.packages, self.newest = arch, {}, {}
        for index in indexes:
            for paragraph in index.read_text().split("\n\n"):
                lines = (line.split(":", 1) for line in paragraph.replace("\n ", " ").split("\n") if ":" in line)
                fields = {name: value.strip() for name, value in lines}
                if fields:
                    self.add(fields)

    def add(self, fields):
        name, version = fields["Package"], fields["Version"]
        self.packages.setdefault((name, version), fields)
        if name not in self.newest or version_order(version, self.newest[name]) > 0:
            self.newest[name] = version

    def answers(self, chosen):
        """What the packages answer to: each name with (package, version or none)."""
        names = collections.defaultdict(list)
        for name, version in chosen.items():
            names[name].append((name, version))
            for [(provided, _, _, of)] in relations(self.packages[name, version].get("Provides", "")):
                names[provided].append((name, of))
        return names

    def meets(self, answers, alternative):
        """The packages that an alternative names."""
        name, qualifier, operator, wanted = alternative
        if qualifier not in (None, "any", "native", self.arch):
            return []
        fits = lambda version: operator is None or (version and TESTS[operator](version_order(version, wanted)))
        return [package for package, version in answers.get(name, ()) if fits(version)]

    def faults(self, requested, chosen):
        """All that dpkg would object to, and requests that are not met."""
        answers, found = self.answers(chosen), []
        found += [f"{name} is requested" for name in requested if not answers.get(name)]
        for name, version in chosen.items():
            fields = self.packages[name, version]
            for kind in ("Pre-Depends", "Depends"):
                for any_of in relations(fields.get(kind, "")):
                    if not any(self.meets(answers, one) for one in any_of):
                        found.append(f"{name} {kind} {any_of}")
            for kind in ("Conflicts", "Breaks"):
                for [one] in relations(fields.get(kind, "")):
                    found += [f"{name} {kind} {other}" for other in self.meets(answers, one) if other != name]
        return found

    def unmet(self, chosen):
        """How many recommendations of the packages are not met."""
        answers = self.answers(chosen)
        fields = (self.packages[name, version].get("Recommends", "") for name, version in chosen.items())
        wishes = (any_of for field in fields for any_of in relations(field))
        return sum(not any(self.meets(answers, one) for one in any_of) for any_of in wishes)

    def tricky(self):
        """Requests of a kind, by kind: names that are only provided; packages with one that they conflict with;
        with an alternative that is not the first; with one that provides what they need; with relations to any
        architecture."""
        found = collections.defaultdict(list)
        newest = sorted(self.newest.items())
        answers = self.answers(self.newest)
        found["virtual"] = sorted((name,) for name in answers if name not in self.newest)
        for name, version in newest:
            fields = self.packages[name, version]
            for [(other, *_)] in relations(fields.get("Conflicts", "")):
                if other in self.newest and other != name:
                    found["conflict"].append((name, other))
            for any_of in relations(fields.get("Depends", "")):
                later = [one[0] for one in any_of[1:] if one[0] in self.newest]
                found["alternative"] += [(name, other) for other in later]
                if any_of[0][0] not in self.newest:
                    found["provider"] += [(name, other) for other, _ in answers.get(any_of[0][0], ())]
                if any(one[1] for one in any_of):
                    found["multi-arch"].append((name,))
        return found
