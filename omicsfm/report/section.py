"""Sections, and the page that they make."""

from pathlib import Path

Section = dict[str, object]


def section(title: str, lead: str, **rest: object) -> Section:
    """A heading, a sentence on how to read what follows, and tables, figures and notes."""
    return {"title": title, "lead": lead, "tables": [], "figures": [], "notes": [], "wide": False, **rest}


def render(out: Path, sections: list[Section], **rest: object) -> Path:
    """Write ``out/report.html`` from the sections and the ``rest`` that the template names; returns its path."""
    import jinja2
    from markupsafe import Markup

    for one in sections:
        for figure in one["figures"]:  # type: ignore[attr-defined]
            figure["svg"] = Markup(figure["svg"])  # drawn by us; every text in it went through matplotlib's escaping
    template = Path(__file__).with_name("template.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    page = environment.from_string(template).render(sections=sections, **rest)
    file = out / "report.html"
    partial = out / ".report.html.partial"
    partial.write_text(page, encoding="utf-8")
    partial.replace(file)
    return file
