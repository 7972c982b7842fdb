"""How Sphinx makes the site from the pages of this folder: ``make docs``.

- The pages are plain Markdown, to be read on a code host too, so links are relative paths.
- The reference is read from the docstrings.
- Nothing is fetched, neither when the site is built nor when it is read.
- A name of ours that leads nowhere is an error. Names of others are not looked up.
- Docstrings are plain text: what is indented in them, after an empty line, is code.
- Invariants that a page names lead to the reference.
- A link to a file of the repository leads to a page with its source, and is not a download.
- Which tests and mutants hold a statement is folded.
- A signature shows what a reader can type: names of functions, and of a long default three dots.
- The figures of the lecture are part of their pages: they are as light or dark as these.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "adapters")]

BINARY = {".db", ".db-mark"}
"""Files that have no text to show: a link to one is a download."""

FOLDED = re.compile(r"(Held by|Tests|Mutants[\w ]*):\s*")
"""How a list item begins that names what holds a statement."""

LONG_CELL, LONG_CODE, LONG_WORD = 24, 24, 40  # characters
LONG_DEFAULT = 40

LONG_SIGNATURE = re.compile(
    r'(<span class="sig-paren">[(\[]</span>\s*)<dl>(.*?)</dl>(\s*<span class="sig-paren">)',
    re.DOTALL,
)

project = "paxos"
author = "The paxos maintainers"
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]

myst_heading_anchors = 3

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
SAME_NAMES = {
    *("Answer", "Effect", "Event", "Message", "Record", "Reply", "Report", "Request", "Step"),
}  # each module has its own
autodoc_type_aliases = {name: name for name in (*SAME_NAMES, "QuorumSystem", "Request")}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
nitpick_ignore_regex = [
    ("py:.*", r"(?!paxos).*"),
    ("py:.*", r"paxos.*\.[A-Z](_co|_contra)?"),  # type variables
    ("py:.*", r"paxos_(adapters|lab|testing)\.\w+\.\w+\..*"),  # what a package keeps to itself
    ("py:class", r"paxos_testing\.(reachable\.Situation|\w+\.Record)"),
    ("py:class", r"paxos_adapters\.machine\.Machine"),  # until a page documents it
]

html_theme = "furo"
html_title = "paxos"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["static", "figures"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5cad",
        "color-brand-content": "#0b5cad",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6cb6ff",
        "color-brand-content": "#6cb6ff",
    },
}


def _mark_code(
    _app: Sphinx, _what: str, _name: str, _it: object, _options: object, lines: list[str]
) -> None:
    """Put the mark of a code block before what is indented; drop what namedtuple wrote."""
    marked: list[str] = []
    if lines and re.fullmatch(r"Alias for field number \d+", lines[0]):
        lines.clear()
    for line in lines:
        starts = line.startswith("    ") and marked and not marked[-1]
        if starts and not marked[-2].startswith("    "):
            marked += ["::", ""]
        marked.append(line)
    lines[:] = marked


def _mark_what_is_long(_app: Sphinx, page: nodes.document) -> None:
    for cell in [*page.findall(nodes.entry)]:
        if len(cell.astext()) > LONG_CELL:
            cell["classes"].append("prose")
        if _longest_word(cell) > LONG_WORD:
            cell["classes"].append("paths")
    for literal in [*page.findall(nodes.literal)]:
        if _longest_word(literal) > LONG_CODE:
            literal["classes"].append("long")


def _longest_word(node: nodes.Element) -> int:
    return max(map(len, node.astext().split()), default=0)


def _link_invariants(app: Sphinx, page: nodes.document) -> None:
    for literal in [*page.findall(nodes.literal)]:
        name = literal.astext()
        if re.fullmatch(r"invariants\.(?!py$)\w+", name):
            link = pending_xref(
                "",
                literal.deepcopy(),
                refdomain="py",
                reftype="obj",
                reftarget=f"paxos.{name}",
                refexplicit=True,
                refwarn=True,
                refdoc=app.env.docname,
            )
            literal.replace_self(link)


def _name_aliases(
    _app: Sphinx,
    _what: str,
    _name: str,
    _it: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Undo how autodoc writes an alias within another type, and a function that is a default."""
    marked = r"TypeAliasForwardRef\('(\w+)'\)|<function (\w+)>"
    signature, returns = (
        None if it is None else re.sub(marked, r"\1\2", it) for it in (signature, returns)
    )
    return signature and _shortened(signature), returns


def _shortened(signature: str) -> str:
    """A signature with three dots for a default that is made anew, or longer than LONG_DEFAULT."""
    try:
        (function,) = ast.parse(f"def f{signature}: ...").body
    except SyntaxError:
        return signature  # as autodoc wrote it
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    arguments.defaults = [_told(it) for it in arguments.defaults]
    arguments.kw_defaults = [it and _told(it) for it in arguments.kw_defaults]
    return f"({ast.unparse(arguments)})"


def _told(default: ast.expr) -> ast.expr:
    words = ast.unparse(default)
    return ast.Constant(...) if words == "NOTHING" or len(words) > LONG_DEFAULT else default


def _link_aliases(_app: Sphinx, page: nodes.document) -> None:
    for link in [*page.findall(pending_xref)]:
        module, name = link.get("py:module"), link["reftarget"]
        meant: object = getattr(sys.modules.get(module or ""), name, None)
        if name in getattr(sys.modules.get(module or ""), "__annotations__", {}):
            link["reftarget"] = f"{module}.{name}"
        elif isinstance(meant, type) and meant.__module__.startswith("paxos."):
            link["reftarget"] = f"{meant.__module__}.{name}"  # the log has names of its own
        elif name in SAME_NAMES:
            link.replace_self(nodes.Text(name))


def _put_figures_in(app: Sphinx, page: nodes.document, name: str) -> None:
    """Figures of the lecture become part of their page: they have its theme, and open alone."""
    for image in [*page.findall(nodes.image)]:
        path = app.srcdir / image["uri"]
        if path.parent.name == "figures" and not path.name.startswith("states-"):
            file = f"{'../' * name.count('/')}_static/{path.name}"
            label = escape(f"{image['alt']} (open it alone)", quote=True)
            drawn = path.read_text(encoding="utf-8")
            link = f'<a class="paxos-figure" href="{file}" aria-label="{label}">{drawn}</a>'
            image.replace_self(nodes.raw("", link, format="html"))


def _link_sources(app: Sphinx, page: nodes.document) -> None:
    name = app.env.docname
    for link in [*page.findall(download_reference)]:
        path = (app.srcdir / name).parent.joinpath(link["reftarget"]).resolve()
        if path.is_file() and path.is_relative_to(ROOT) and path.suffix not in BINARY:
            place = path.relative_to(ROOT).as_posix()
            up = "../" * name.count("/")
            found = nodes.reference("", "", *link.children, refuri=f"{up}sources/{place}.html")
            link.replace_self(found)


def _source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page for each file of the repository that a page links to."""
    assert isinstance(app.builder, StandaloneHTMLBuilder)
    linked = {
        file
        for page in app.srcdir.rglob("*.md")
        for target in re.findall(r"\]\((\.\.?/[^)#]+)\)", page.read_text(encoding="utf-8"))
        if (file := page.parent.joinpath(target).resolve()).is_file()
        and file.is_relative_to(ROOT)
        and not file.is_relative_to(app.srcdir)
        and file.suffix not in BINARY
    }
    for file in sorted(linked):
        place, text = file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        lexer = {".py": "python", ".toml": "toml", ".json": "json"}.get(file.suffix, "text")
        shown = app.builder.highlighter.highlight_block(text, lexer)
        title = escape(place)
        yield f"sources/{place}", {"title": title, "body": f"<h1>{title}</h1>{shown}"}, "page.html"


def _fold_tests(_app: Sphinx, page: nodes.document) -> None:
    for item in [*page.findall(nodes.list_item)]:
        paragraph = next(iter(item.findall(nodes.paragraph)), None)
        opens = FOLDED.match(paragraph.astext()) if paragraph is not None else None
        if paragraph is None or opens is None:
            continue
        if isinstance(paragraph[0], nodes.Text):
            paragraph[0] = nodes.Text(FOLDED.sub("", paragraph[0].astext(), count=1))
        else:
            paragraph.remove(paragraph[0])
        opening = f"<details><summary>{escape(opens[1])}</summary>"
        item.insert(0, nodes.raw("", opening, format="html"))
        item.append(nodes.raw("", "</details>", format="html"))


def _name_for_readers(
    _app: Sphinx, _name: str, _template: str, context: dict[str, object], _page: object
) -> None:
    """Say what the theme does not: the level of a caption; and what scrolls does so by keys."""
    for part, found, better in (
        ("furo_navigation_tree", 'role="heading"', 'role="heading" aria-level="2"'),
        ("body", "<pre>", '<pre tabindex="0">'),
        ("body", "<p><img", '<p tabindex="0"><img'),
        ("body", '<table class="docutils', '<table tabindex="0" class="docutils'),
    ):
        if part in context:
            context[part] = str(context[part]).replace(found, better)
    if "body" in context:
        context["body"] = LONG_SIGNATURE.sub(_as_lines, str(context["body"]))


def _as_lines(long: re.Match[str]) -> str:
    """A signature of several lines. Sphinx writes it as a list of definitions without terms."""
    begin, lines, end = long.groups()
    lines = lines.replace("<dd>", '<div class="sig-line">').replace("</dd>", "</div>")
    return f"{begin}{lines}{end}"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", _name_for_readers, priority=900)  # after the theme
    app.connect("doctree-read", _link_sources, priority=100)  # before Sphinx copies the files
    app.connect("doctree-read", _fold_tests)
    app.connect("doctree-read", _mark_what_is_long)
    app.connect("html-collect-pages", _source_pages)
    app.connect("doctree-resolved", _put_figures_in)
    app.connect("autodoc-process-docstring", _mark_code)
    app.connect("autodoc-process-signature", _name_aliases)
    app.connect("doctree-read", _link_invariants)
    app.connect("doctree-read", _link_aliases)
