/** Starts one of the servers, whose store fails from SIGUSR2 on: `node test/with-failing-store.js server-node.js` */
import process from "node:process";
import { store } from "../handler.js";

process.once("SIGUSR2", () => {
  store.load = () => {
    throw new Error("the disk is gone");
  };
  console.log("The store fails");
});

await import(`../${process.argv[2]}`);
