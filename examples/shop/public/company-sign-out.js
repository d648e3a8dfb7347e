// @ts-check
/** Signing out was asked for in the shop already; without JavaScript it takes the button once more. */
document.querySelector("form")?.submit();
