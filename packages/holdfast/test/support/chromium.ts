/** The browser that the demo shop is driven with, for tests of the package. It is JavaScript, so its types are said here. */
const shop: string = "../../../../examples/shop/test/chromium.js";

export const { chromiumArgs, findChromium } = (await import(shop)) as {
  chromiumArgs: string[];
  /** Undefined where none can be had. */
  findChromium(): string | undefined;
};
