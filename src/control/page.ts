// The few pages people see: one look, no scripts, nothing loaded from anywhere, everything inserted is escaped.

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

const style = `
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
body { margin: 0; display: grid; min-height: 100vh; place-items: center; background: Canvas; color: CanvasText; }
main { max-width: 42rem; padding: 2rem; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
pre { padding: .9rem 1rem; border: 1px solid color-mix(in srgb, CanvasText 25%, Canvas); border-radius: .5rem; overflow-x: auto;
  background: color-mix(in srgb, CanvasText 5%, Canvas); user-select: all; }
p.quiet { opacity: .75; font-size: .9rem; }
`;

/** `body` is HTML whose insertions are already escaped. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><main>
<h1>${escapeHtml(title)}</h1>
${body}
</main></body>
</html>
`;
}

/** A command to copy. */
export function command(text: string): string {
  return `<pre><code>${escapeHtml(text)}</code></pre>`;
}
