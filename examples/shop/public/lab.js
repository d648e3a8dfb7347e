// @ts-check
/** Fires twenty changes of the cart at once, and shows which of them the session holds afterwards. */

const race = /** @type {HTMLElement} */ (document.querySelector("#race"));
const button = /** @type {HTMLButtonElement} */ (race.querySelector("button"));
const result = /** @type {HTMLElement} */ (race.querySelector(".result"));
const chips = [...race.querySelectorAll(".chips li")];

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function json(path, init) {
  const response = await fetch(path, init);
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`);
  return response.json();
}

async function run() {
  for (const chip of chips) chip.removeAttribute("class");
  result.textContent = "Under way …";
  const before = await json("/lab/race", { method: "POST" });
  await Promise.all(
    chips.map(async (chip, index) => {
      const body = new URLSearchParams({ number: String(index + 1) });
      await json("/lab/race/changes", { method: "POST", body });
      chip.className = "answered";
    }),
  );
  const after = await json("/lab/race");
  for (const number of after.arrived) chips[number - 1]?.setAttribute("class", "arrived");
  const arrived = new Set(after.arrived).size;
  result.textContent = `${arrived} of ${chips.length} arrived. Stickers in your cart: ${before.stickers} before, ${after.stickers} now.`;
  const count = document.querySelector(".cart-link .count");
  if (count)
    count.lastChild?.replaceWith(
      String(Number(count.lastChild.textContent) + after.stickers - before.stickers),
    );
  count?.classList.remove("empty");
}

button.disabled = false;
button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await run();
  } catch (error) {
    result.textContent = `It didn’t work: ${/** @type {Error} */ (error).message}.`;
  } finally {
    button.disabled = false;
    button.focus();
  }
});
