// @ts-check
import { html } from "../html.js";

/**
 * An HTML document around a body.
 *
 * @param {{ title: string, body: import("../html.js").Markup, scripts?: readonly string[] }} parts
 */
export function documentOf({ title, body, scripts = [] }) {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${title} · Holdfast Harbour</title>
    <link rel="icon" href="/favicon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/style.css">
    ${scripts.map((script) => html`<script type="module" src="/${script}"></script>`)}
  </head>
  <body>${body}</body>
</html>
`;
}
