// WebSocket to the server: reconnects by itself and calls a handler for each message.

const FIRST_DELAY = 500; // ms until the first attempt to reconnect
const MAX_DELAY = 5000; // ms

// Characters that show nothing or reorder the text around them; names come from outside.
const HIDDEN = /[\p{Cc}\p{Cs}\p{Bidi_Control}\u200b\u2028\u2029\u2060\ufeff]/gu;
const escape = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
const makeVisible = (key, value) => (typeof value === "string" ? value.replace(HIDDEN, escape) : value);

export class Connection {
  // handlers: {picture(blob), connection(open, reason)}, and one for each topic
  constructor(handlers) {
    this.handlers = handlers;
    this.pending = {}; // settings that will be sent next
    this.subscriptions = { watch: true, panel: false }; // to pictures, to the measured motion
    this.delay = FIRST_DELAY;
    this.open();
    document.addEventListener("visibilitychange", () => {
      this.subscribe("watch", !document.hidden);
      if (!document.hidden && this.socket.readyState === WebSocket.CLOSED) this.open();
    });
  }

  open() {
    clearTimeout(this.timer);
    const socket = this.socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws")));
    socket.onopen = () => {
      this.delay = FIRST_DELAY;
      this.handlers.connection(true);
      for (const [name, value] of Object.entries(this.subscriptions)) this.send({ [name]: value });
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof Blob) return this.handlers.picture(data);
      for (const [topic, value] of Object.entries(JSON.parse(data, makeVisible))) this.handlers[topic]?.(value);
    };
    socket.onclose = async () => {
      if (this.socket !== socket) return;
      this.timer = setTimeout(() => this.open(), this.delay);
      this.delay = Math.min(this.delay * 1.6, MAX_DELAY);
      this.handlers.connection(false);
      const reason = await refusalReason();
      if (reason && this.socket === socket) this.handlers.connection(false, reason);
    };
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  press(key) { this.send({ press: key }); }

  subscribe(name, value) {
    this.subscriptions[name] = value;
    this.send({ [name]: value });
  }

  // Send changed settings, at most every 16 ms. A timer is used, because
  // hidden tabs have no animation frames.
  set(values) {
    if (!Object.keys(this.pending).length) {
      setTimeout(() => {
        this.send({ set: this.pending });
        this.pending = {};
      }, 16);
    }
    Object.assign(this.pending, values);
  }
}

// A refused WebSocket does not reveal the reason, so an HTTP request asks for it.
async function refusalReason() {
  try {
    const answer = await (await fetch("healthz")).json();
    return answer.error ?? (answer.full ? "The limit of viewers is reached" : "");
  } catch {
    return ""; // the server cannot be reached
  }
}
