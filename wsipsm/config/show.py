"""Settings as YAML in which every key is explained."""

from __future__ import annotations

import math
import textwrap

import yaml

from wsipsm.config.base import Section

_WIDTH = 110


def commented_yaml(settings: Section) -> str:
    """YAML text of all sections, every key below its description; loaded again it gives the same settings.

    Parameters
    ----------
    settings : Section
        A model whose fields are sections, such as ``Config``.
    """
    return "\n".join(_section(name, section) for name, section in settings if isinstance(section, Section))


def _section(name: str, section: Section) -> str:
    first_paragraph = (type(section).__doc__ or "").split("\n\n")[0]
    lines = [*_comment(first_paragraph, ""), f"{name}:"]
    for key, value in section.model_dump(mode="json").items():
        braced = yaml.safe_dump({key: value}, default_flow_style=True, allow_unicode=True, width=math.inf)
        lines += [*_comment(type(section).model_fields[key].description or "", "  "), f"  {braced.strip()[1:-1]}"]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text.replace("``", "`"), _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
