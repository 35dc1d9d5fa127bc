// One WebSocket carries everything that this page looks at. It connects again by itself and says how old the last word is.

const STALE_MS = 2000;

/** Opens the channel. `handlers` by kind of topic: fleet(payload), state(payload), records(payload, camera), preview(head, blob). */
export function openChannel(topics, handlers, { fps } = {}) {
  const channel = { heardAt: null, connected: false, send: () => {}, topics: new Set(topics) };
  let wait = 250;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/ws`);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      wait = 250;
      channel.connected = true;
      channel.send = (message) => socket.send(JSON.stringify(message));
      channel.send({ subscribe: [...channel.topics], fps });
    });
    socket.addEventListener("message", (event) => {
      channel.heardAt = performance.now();
      if (typeof event.data === "string") hearText(JSON.parse(event.data));
      else hearPicture(event.data);
    });
    socket.addEventListener("close", (event) => {
      channel.connected = false;
      channel.send = () => {};
      if (event.code === 1008) document.dispatchEvent(new CustomEvent("edge:session-ended"));
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 5000);
    });
  }

  function hearText({ topic, payload }) {
    const [kind, camera] = topic.split("/");
    handlers[kind]?.(payload, camera);
  }

  function hearPicture(buffer) {
    const length = new DataView(buffer).getUint32(0);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    handlers.preview?.(head, new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }), head.topic.split("/")[1]);
  }

  channel.add = (topic) => {
    channel.topics.add(topic);
    channel.send({ subscribe: [topic] });
  };
  if (typeof WebSocket === "undefined") handlers.none?.();
  else connect();
  return channel;
}

/** What is wrong with a line's news, in words; null while it is fresh. `lineState` has age_s, trouble and running, as of `at`. */
export function whyStale(channel, lineState, at) {
  if (typeof WebSocket === "undefined") return "this browser has no WebSocket, which the page needs";
  if (channel.heardAt === null) return channel.connected ? null : "connecting to the page's server …";
  const silent = performance.now() - channel.heardAt;
  if (silent > STALE_MS) return `no word from the page's server for ${seconds(silent)}`;
  if (!lineState) return null;
  if (!lineState.running) return "the daemon is not running";
  const age = lineState.age_s * 1000 + (performance.now() - at);
  if (age > STALE_MS) return `the line is silent: last heard ${seconds(age)} ago`;
  return lineState.trouble;
}

export function ageText(lineState, at) {
  return lineState ? `last heard ${seconds(lineState.age_s * 1000 + (performance.now() - at))} ago` : "";
}

function seconds(ms) {
  const s = ms / 1000;
  if (s < 100) return `${s.toFixed(1)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}
