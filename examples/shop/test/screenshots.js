// @ts-check
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../artifacts/shop/", import.meta.url));
mkdirSync(folder, { recursive: true });

const DESKTOP = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };

/** @type {ReadonlyArray<{ look: string, viewport: typeof DESKTOP, colorScheme: "light" | "dark" }>} */
const LOOKS = [
  { look: "phone-dark", viewport: PHONE, colorScheme: "dark" },
  { look: "phone-light", viewport: PHONE, colorScheme: "light" },
  { look: "desktop-dark", viewport: DESKTOP, colorScheme: "dark" },
  { look: "desktop-light", viewport: DESKTOP, colorScheme: "light" },
];

/**
 * Keeps how a page looks, on a desktop and a phone, light and dark, under artifacts/shop.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} step
 */
export async function screenshots(page, step) {
  for (const { look, viewport, colorScheme } of LOOKS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${folder}${step}-${look}.png`, fullPage: true });
  }
}
