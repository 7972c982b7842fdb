"""A stand-in for the picture of a story, until the real one is here."""

from __future__ import annotations

from html import escape

from paxos_adapters.recording import Story


def svg(story: Story) -> str:
    """Lanes are columns, and time runs down."""
    x = {lane: 60 + 110 * place for place, lane in enumerate(story.lanes)}
    y = {it.step: 50 + 26 * place for place, it in enumerate(story.moments)}
    low = 60 + 26 * len(story.moments)
    drawn = [
        f'<line class="lane" x1="{x[it]}" x2="{x[it]}" y1="30" y2="{low}"/>'
        f'<text x="{x[it]}" y="20" text-anchor="middle">{escape(name)}</text>'
        for it, name in story.lanes.items()
    ]
    for it in story.arrows:
        start = y.get(it.left or 0, y[it.arrived or story.moments[0].step])
        end = y.get(it.arrived or 0, start + 13)
        drawn.append(
            f'<line class="message {"" if it.arrived else "lost"}" data-from="{it.left or ""}" '
            f'data-step="{it.arrived or it.left}" x1="{x[it.sender]}" y1="{start}" '
            f'x2="{x[it.receiver]}" y2="{end}"/>'
        )
    drawn += [
        f'<circle class="moment" data-step="{it.step}" cx="{x[it.lane]}" cy="{y[it.step]}" r="5">'
        f"<title>{escape(it.text)}</title></circle>"
        for it in story.moments
    ]
    style = ".lane,.message{stroke:var(--ink, #222)}.lost{stroke-dasharray:4}"
    width = 120 + 110 * len(x)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {low}" '
        f'width="{width}" height="{low}"><style>{style}</style>{"".join(drawn)}</svg>'
    )
