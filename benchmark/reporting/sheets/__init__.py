"""The tables of a report, each made once and written as HTML, Markdown, LaTeX and CSV."""
