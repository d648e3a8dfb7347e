// @ts-check

/**
 * @typedef {object} Product
 * @property {string} id Also the name of its picture in public/products.
 * @property {string} name
 * @property {string} description
 * @property {string} picture What the picture shows, for those who don't see it.
 * @property {number} cents
 */

/** @type {readonly Product[]} */
export const products = [
  {
    id: "lantern",
    name: "Storm lantern",
    description: "Solid brass, burns eleven hours, and stays lit when the door is open.",
    picture: "A brass lantern with a warm flame behind glass",
    cents: 6400,
  },
  {
    id: "mug",
    name: "Harbour mug",
    description: "Enamelled steel. Survives the drop from deck to quay, which it will take.",
    picture: "A white enamel mug with a blue rim and an anchor on it",
    cents: 1450,
  },
  {
    id: "compass",
    name: "Pocket compass",
    description: "Liquid-filled and unbothered by your phone. Points north, and only north.",
    picture: "A brass pocket compass with a red and blue needle",
    cents: 3900,
  },
  {
    id: "rope",
    name: "Mooring rope, 12 m",
    description: "Three-strand hemp with an eye spliced at one end, by hand, by Ines.",
    picture: "A coil of hemp rope",
    cents: 2800,
  },
  {
    id: "hat",
    name: "Sou’wester",
    description: "Waxed cotton with a long brim behind, so that the rain ends up elsewhere.",
    picture: "A yellow waxed rain hat with a wide brim",
    cents: 3450,
  },
  {
    id: "buoy",
    name: "Door buoy",
    description: "A retired fender, freshly painted. Heavy enough to hold any door.",
    picture: "A round red and white buoy with a rope loop",
    cents: 2200,
  },
  {
    id: "clamp",
    name: "Bench holdfast",
    description: "Forged iron. One tap and your work stays where you put it; one more and it’s free.",
    picture: "A forged iron holdfast standing in a wooden bench",
    cents: 4750,
  },
  {
    id: "sticker",
    name: "Kelp sticker",
    description: "A holdfast is what keeps kelp on its rock. This one keeps on laptops.",
    picture: "A round sticker with green kelp on it",
    cents: 250,
  },
];

const byId = new Map(products.map((product) => [product.id, product]));

/** @param {string} id */
export const productById = (id) => byId.get(id);

const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });

/** @param {number} cents */
export const price = (cents) => euros.format(cents / 100);
