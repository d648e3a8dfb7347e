// @ts-check
import { html } from "../html.js";

const format = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "medium",
  timeZone: "UTC",
});

/** A moment in UTC; local-times.js shows it in the reader's time zone. @param {Date} moment */
export const time = (moment) =>
  html`<time datetime="${moment.toISOString()}">${format.format(moment)} UTC</time>`;
