"""What every setting means, for the reference in docs/."""

from pydantic import TypeAdapter

from groundup.config.tree import KEYS, Config


def describe() -> list[tuple[str, str, str, str]]:
    """(key, type, default, meaning) of every setting, for the reference in docs/."""
    schema = TypeAdapter(Config).json_schema()
    rows = []
    for key in KEYS:
        section, _, name = key.rpartition(".")
        owner = schema["$defs"][section.capitalize()] if section else schema
        prop = owner["properties"][name]
        kinds = [p for p in prop.get("anyOf", [prop]) if p.get("type") != "null"]
        kind = " | ".join(f"`{v}`" for v in kinds[0]["enum"]) if "enum" in kinds[0] else kinds[0].get("type", "")
        default = prop.get("default")
        default = str(default).lower() if isinstance(default, bool) else default
        rows.append((key, kind, "planned" if default is None else f"`{default}`", prop.get("description", "")))
    return rows
