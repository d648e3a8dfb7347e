const SESSION_ENDED = 4401;

const status = document.querySelector("#status");
const write = document.querySelector("#write");

const chat = new WebSocket(`${location.origin.replace(/^http/, "ws")}/chat`);
chat.addEventListener("open", () => {
  status.textContent = "Connected.";
});
chat.addEventListener("message", ({ data }) => {
  const { from, text } = JSON.parse(data);
  const item = document.createElement("li");
  item.textContent = `${from}: ${text}`;
  document.querySelector("#messages").append(item);
});
chat.addEventListener("close", ({ code, reason }) => {
  status.textContent =
    code === SESSION_ENDED
      ? `Your session has ended (${reason}). Reload to log in.`
      : "Connection lost. Reload.";
  write.querySelector("button").disabled = true;
});
write.addEventListener("submit", (event) => {
  event.preventDefault();
  chat.send(write.elements.text.value);
  write.reset();
});

const presence = window.io();
presence.on("present", (names) => {
  document.querySelector("#present").textContent = names.join(", ");
});
presence.on("disconnect", () => {
  document.querySelector("#present").textContent = "?";
});
