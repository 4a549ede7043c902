"""The table of values in the chart's README, from the chart's schema (what each means) and values.yaml (its default)."""

import json

BEGIN = "<!-- values: written by `make manifests` from values.schema.json and values.yaml -->"
END = "<!-- end of values -->"


class Incomplete(ValueError):
    """The schema and values.yaml do not speak of the same values."""


def into_readme(readme, schema, defaults):
    """`readme` with its table made anew."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Incomplete(f"the chart's README has lost the lines {BEGIN!r} and {END!r} around its table")
    return f"{before}{BEGIN}\n{table(schema, defaults)}{END}{after}"


def table(schema, defaults):
    lines = ["| value | default | meaning |\n", "|---|---|---|\n"]
    for path, meaning in sorted(described(schema, ())):
        lines.append(f"| `{'.'.join(path)}` | {shown(default_at(defaults, path))} | {meaning} |\n")
    return "".join(lines)


def described(schema, path):
    """(path, description) of every value; a value without a description is an error, not a gap in the table."""
    for name, inner in schema["properties"].items():
        here = (*path, name)
        if here == ("global",):
            continue
        if "description" in inner:
            yield here, inner["description"].replace("|", "\\|")
        elif "properties" in inner:
            yield from described(inner, here)
        else:
            raise Incomplete(f"values.schema.json says no `description` for {'.'.join(here)}")


def default_at(defaults, path):
    value = defaults
    for name in path:
        if name not in value:
            raise Incomplete(f"values.yaml has no {'.'.join(path)}, which values.schema.json describes")
        value = value[name]
    return value


def shown(value):
    if value in ("", [], {}):
        return ""
    text = json.dumps(value, separators=(", ", ": "))
    if len(text) > 60:
        return "see values.yaml"
    return f"`{text.strip(chr(34))}`"
