import { describe } from "vitest";
import { attack } from "./attack.js";

describe("flood", () => {
  attack("visitors without cookies fill the store", async ({ site, browser }) => {
    for (let visit = 0; visit < 300; visit++) await browser().get("/");
    return site.stored() >= 300;
  });
});
