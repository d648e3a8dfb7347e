/** The console's style and script: served from its own path, so that a strict content policy lets them in. No build, no request elsewhere. */

export const CSS = `:root{color-scheme:light dark;--bg:#fff;--fg:#1b2430;--muted:#566373;--line:#cfd6de;--panel:#f4f6f8;--accent:#0b57a4;--on-accent:#fff;--danger:#a81c1c;--good:#17603a;--series-0:#0b57a4;--series-1:#b34700}
@media (prefers-color-scheme:dark){:root{--bg:#12171d;--fg:#e8edf2;--muted:#a3b0bd;--line:#394552;--panel:#1b232b;--accent:#8cc4ff;--on-accent:#0c1a28;--danger:#ff9c94;--good:#8fdcae;--series-0:#8cc4ff;--series-1:#ffb27a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;justify-content:space-between;align-items:baseline;padding:.75rem 1rem;border-bottom:1px solid var(--line)}
.brand{font-weight:700;color:inherit;text-decoration:none}
.actor,.muted,.times{color:var(--muted)}
main{max-width:75rem;margin:0 auto;padding:1rem}
main:focus{outline:none}
h1{font-size:1.5rem;margin:.5rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:1.5rem 0 .75rem}
h3{font-size:1rem;margin:0}
a{color:var(--accent)}
bdi,code.id{overflow-wrap:anywhere}
code{font-family:ui-monospace,monospace}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.skip{position:absolute;left:-100rem}
.skip:focus{left:.5rem;top:.5rem;background:var(--bg);padding:.5rem;z-index:1}
.visually-hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
button,.button{display:inline-block;font:inherit;padding:.45rem .9rem;min-height:2.75rem;border:1px solid var(--accent);border-radius:.4rem;background:var(--accent);color:var(--on-accent);cursor:pointer;text-decoration:none;overflow-wrap:anywhere;max-width:100%}
.quiet{background:transparent;color:var(--accent)}
.danger{background:transparent;border-color:var(--danger);color:var(--danger)}
.danger:hover{background:var(--danger);color:var(--bg)}
input[type=search]{font:inherit;padding:.45rem .6rem;min-height:2.75rem;border:1px solid var(--muted);border-radius:.4rem;background:var(--bg);color:var(--fg);min-width:0;flex:1 1 12rem}
input[type=checkbox]{width:1.35rem;height:1.35rem;margin:0;accent-color:var(--accent)}
.search label{display:block;font-weight:600}
.search span{display:flex;flex-wrap:wrap;gap:.5rem;max-width:40rem}
.actions,.tools{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:1rem 0}
[hidden]{display:none!important}
.notice,.trouble{padding:.6rem .9rem;border-left:4px solid var(--good);background:var(--panel);overflow-wrap:anywhere}
.trouble{border-color:var(--danger)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,16rem),1fr));gap:1rem}
.chart{margin:0;padding:.75rem;border:1px solid var(--line);border-radius:.5rem;background:var(--panel);min-width:0}
.chart p{margin:0 0 .5rem;color:var(--muted);font-size:.9rem}
.plot{position:relative}
.plot svg{display:block;width:100%;height:6rem;border-bottom:1px solid var(--line)}
.scale{position:absolute;left:0;top:0;font-size:.8rem;color:var(--muted);background:var(--panel);padding-right:.25rem}
.times{display:flex;justify-content:space-between;font-size:.8rem}
polyline{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
polyline.series-0{stroke:var(--series-0)}polyline.series-1{stroke:var(--series-1);stroke-dasharray:5 3}
rect.series-0{fill:var(--series-0)}
.legend{list-style:none;margin:.25rem 0;padding:0;font-size:.85rem}
.legend li{border-left:4px solid var(--series-0);padding-left:.4rem;margin:.15rem 0}
.legend .series-1{border-left-color:var(--series-1);border-left-style:dashed}
details{font-size:.85rem}summary{cursor:pointer;padding:.25rem 0}
details table{border-collapse:collapse;width:100%}details th,details td{text-align:left;padding:.1rem .25rem;font-weight:400;border-bottom:1px solid var(--line)}
.list{width:100%;border-collapse:collapse}
.list th,.list td{text-align:left;padding:.5rem;border-bottom:1px solid var(--line);vertical-align:top}
.list th{font-size:.9rem;color:var(--muted)}
.list .user{max-width:20rem;overflow-wrap:anywhere}
.list tbody tr:hover{background:var(--panel)}
.pager{display:flex;gap:1rem;align-items:center;flex-wrap:wrap}
.pager a{padding:.6rem 0}
.details{margin:0}
.details div{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;gap:.25rem 1rem;padding:.5rem 0;border-bottom:1px solid var(--line)}
.details dt{color:var(--muted)}.details dd{margin:0;min-width:0}
.ids{padding-left:1.25rem}
@media (max-width:48rem){.charts{grid-template-columns:1fr 1fr;gap:.5rem}
.chart{padding:.5rem}.chart:has(details[open]){grid-column:1/-1}.chart p{font-size:.8rem}.plot svg{height:3.5rem}.times{font-size:.75rem}
.list thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.list,.list tbody{display:block}.list tr{display:grid;grid-template-columns:2.25rem 1fr;border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.5rem}
.list td{border:0;padding:.15rem 0;grid-column:2;display:flex;gap:.75rem;justify-content:space-between;min-width:0}
.list td::before{content:attr(data-label);color:var(--muted);flex:none}
.list td.select{grid-column:1;grid-row:1/span 6;display:block}.list td.select::before{content:none}
.list .user{max-width:none}.list .user a,.list .user bdi{text-align:right;min-width:0}
.details div{grid-template-columns:1fr}}
@media (prefers-reduced-motion:no-preference){button,.button{transition:background-color .15s}}
`;

export const JS = `const EVERY = 5000;
const charts = document.getElementById("live-charts");
const list = document.getElementById("live-list");
const trouble = document.getElementById("trouble");
const pause = document.getElementById("pause");
const refreshed = document.getElementById("refreshed");
document.getElementById("tools").hidden = false;

const address = new URL(document.getElementById("sessions").action.replace(/revoke$/, "live"));
address.search = location.search;

let paused = false;
let over = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (!paused) refresh();
});

/* Puts new markup in place of the old, and keeps what the reader has done there. */
function put(place, markup) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const opened = [...place.querySelectorAll("details[open]")].map(({ id }) => id);
  const selected = [...place.querySelectorAll("input:checked")].map(({ id }) => id);
  const status = place.querySelector("[role=status]");
  const fresh = document.createElement("template");
  fresh.innerHTML = markup;
  const freshStatus = fresh.content.querySelector("[role=status]");
  if (status && freshStatus) {
    /* A live region speaks when its text changes, so it has to stay the same element. */
    if (status.textContent !== freshStatus.textContent) status.textContent = freshStatus.textContent;
    freshStatus.remove();
    while (status.nextSibling) status.nextSibling.remove();
    status.after(fresh.content);
  } else place.replaceChildren(fresh.content);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  for (const id of selected) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/* What only the script can do is shown by the script. */
function ready() {
  const all = document.getElementById("select-all");
  if (all) all.hidden = false;
}

list.addEventListener("click", ({ target }) => {
  if (target.id !== "select-all") return;
  const boxes = [...list.querySelectorAll("input[name=id]")];
  const select = boxes.some(({ checked }) => !checked);
  for (const box of boxes) box.checked = select;
});

function say(text) {
  if (trouble.textContent === text) return;
  trouble.textContent = text;
  trouble.className = text ? "trouble" : "";
}

async function refresh() {
  if (paused || over || document.visibilityState === "hidden") return;
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store", redirect: "error" });
    if (response.status === 403 || response.status === 404 || response.status === 401) {
      over = true;
      say("You may not see this any more. Sign in and load the page again.");
      return;
    }
    const answer = await response.json();
    if (paused) return;
    put(charts, answer.charts);
    if (answer.list !== undefined) put(list, answer.list);
    ready();
    say(answer.trouble ?? "");
    refreshed.textContent = "Refreshed " + new Date().toLocaleTimeString();
  } catch {
    say("The server can’t be reached. What you see is from before.");
  }
}

ready();
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY);
`;
