// The connection: keeps trying, says how it stands, hands on what comes.

export class Link {
  constructor(heard) {
    this.heard = heard; // {picture(blob), link(open, why), about(), settings(), status(), motion(), error()}
    this.waiting = {};
    this.wants = { watch: true, panel: false };
    this.pause = 500;
    this.open();
    document.addEventListener("visibilitychange", () => {
      this.want("watch", !document.hidden);
      if (!document.hidden && this.socket.readyState === WebSocket.CLOSED) this.open();
    });
  }

  open() {
    clearTimeout(this.timer);
    const socket = this.socket = new WebSocket(new URL("ws", location.href.replace(/^http/, "ws")));
    socket.onopen = () => {
      this.pause = 500;
      this.heard.link(true);
      for (const [name, value] of Object.entries(this.wants)) this.send({ [name]: value });
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof Blob) return this.heard.picture(data);
      for (const [topic, value] of Object.entries(JSON.parse(data))) this.heard[topic]?.(value);
    };
    socket.onclose = async () => {
      if (this.socket !== socket) return;
      this.timer = setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(this.pause * 1.6, 5000);
      this.heard.link(false);
      const why = await refusal();
      if (why && this.socket === socket) this.heard.link(false, why);
    };
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  press(key) { this.send({ press: key }); }

  want(name, value) {
    this.wants[name] = value;
    this.send({ [name]: value });
  }

  // Many changes of one control become one message. A timer, for hidden tabs draw no frames.
  set(values) {
    if (!Object.keys(this.waiting).length) {
      setTimeout(() => {
        this.send({ set: this.waiting });
        this.waiting = {};
      }, 16);
    }
    Object.assign(this.waiting, values);
  }
}

// A socket that is refused does not say why; a request does.
async function refusal() {
  try {
    const answer = await (await fetch("healthz")).json();
    return answer.error ?? (answer.full ? "As many are watching as may" : "");
  } catch {
    return ""; // nobody is there
  }
}
