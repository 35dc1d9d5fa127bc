// What all pages have: theme, clock, chooser of cameras, the notice that a session has ended.
import { el, put } from "./dom.js";
import { isUtc, toggleClock } from "./clock.js";

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("edge.theme", root.dataset.theme);
  document.dispatchEvent(new CustomEvent("edge:theme"));
});

const clock = document.getElementById("clock");
const showClock = () => put(clock, isUtc() ? "UTC" : "local time");
clock.addEventListener("click", toggleClock);
document.addEventListener("edge:clock", showClock);
showClock();

const chooser = document.getElementById("chooser");
chooser?.addEventListener("change", () => {
  const before = `/${document.body.dataset.camera}`;
  location.pathname = location.pathname.replace(before, `/${chooser.value}`);
});

document.addEventListener("edge:session-ended", () => {
  if (document.getElementById("ended")) return;
  const link = el("a", { href: "/login", target: "_blank", rel: "noopener" }, "log in again");
  document.getElementById("faults").before(
    el("p", { id: "ended", class: "faults", role: "alert" }, "Your session has ended: ", link, " in another tab. What is on this page stays."),
  );
});
