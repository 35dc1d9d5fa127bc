// Small charts, one a statistic: the medians of blocks over time, and the band in which they usually lie. Drawn by uPlot.
import { el, put } from "../dom.js";
import { isUtc, moment } from "../clock.js";
import { number } from "../words.js";

const HEIGHT = 96;

export class Courses {
  constructor(holder) {
    this.holder = holder;
    this.charts = new Map();
    new ResizeObserver(() => this.charts.forEach((chart) => chart.plot.setSize(size(chart)))).observe(holder);
    document.addEventListener("edge:theme", () => this.redraw());
  }

  /** Shows columns as the API has them; what deviates most stands first. */
  show(course) {
    this.course = course;
    const times = course.ended_ns.map((ns) => ns / 1e9);
    const order = [...course.statistics].sort((a, b) => Math.abs(deviation(b)) - Math.abs(deviation(a)));
    for (const [name, chart] of this.charts) {
      if (!order.some((statistic) => statistic.name === name)) this.drop(name, chart);
    }
    order.forEach((statistic, index) => {
      const chart = this.charts.get(statistic.name) ?? this.make(statistic);
      const beyond = Math.abs(deviation(statistic)) > 1;
      chart.root.classList.toggle("beyond", beyond);
      chart.shown = { statistic, times, newest: `${beyond ? "✕ beyond: " : ""}${number(statistic.median.at(-1))} ${statistic.unit}` };
      put(chart.now, chart.shown.newest);
      chart.root.setAttribute("aria-label", label(statistic, beyond));
      chart.plot.setData([times, statistic.low, statistic.high, statistic.median]);
      if (this.holder.children[index] !== chart.root) this.holder.insertBefore(chart.root, this.holder.children[index] ?? null);
    });
  }

  redraw() {
    this.charts.forEach((chart, name) => this.drop(name, chart));
    if (this.course) this.show(this.course);
  }

  drop(name, chart) {
    chart.plot.destroy();
    chart.root.remove();
    this.charts.delete(name);
  }

  make(statistic) {
    const now = el("span", { class: "now" });
    const plotted = el("div", { class: "plot" });
    const root = el("div", { class: "course", role: "img", title: statistic.meant }, el("h3", {}, el("span", {}, statistic.name.replaceAll("_", " ")), now), plotted);
    this.holder.append(root);
    const chart = { root, now, plotted, shown: null };
    plotted.addEventListener("pointermove", (event) => point(chart, event));
    plotted.addEventListener("pointerleave", () => put(now, chart.shown?.newest));
    chart.plot = new window.uPlot({ ...size(chart), ...options() }, [[], [], [], []], plotted);
    this.charts.set(statistic.name, chart);
    return chart;
  }
}

/** Says what the block under the pointer had, and when, in place of the newest. */
function point({ plot, plotted, now, shown }, event) {
  const at = plot.posToIdx(event.clientX - plot.over.getBoundingClientRect().left);
  const { statistic, times } = shown ?? {};
  if (times?.[at] === undefined) return;
  const usual = `usual ${number(statistic.low[at])} to ${number(statistic.high[at])}`;
  put(now, `${moment(times[at] * 1e9, { date: true }).slice(5, 16)}: ${number(statistic.median[at])} ${statistic.unit}`);
  plotted.title = usual;
}

/** How far the newest median lies from the middle of its band, in halves of the band: beyond 1 it is unusual. */
function deviation({ median, low, high }) {
  const half = (high.at(-1) - low.at(-1)) / 2;
  return half > 0 ? (median.at(-1) - (high.at(-1) + low.at(-1)) / 2) / half : 0;
}

function label(statistic, beyond) {
  const where = beyond ? "beyond" : "within";
  return `${statistic.name.replaceAll("_", " ")}: ${number(statistic.median.at(-1))} ${statistic.unit}, ${where} its band of ${number(statistic.low.at(-1))} to ${number(statistic.high.at(-1))}; ${statistic.meant}`;
}

function size(chart) {
  return { width: Math.max(chart.plotted.clientWidth, 120), height: HEIGHT };
}

/** Ticks as 14:30, or as 11-30 where the chart spans more than two days. */
function clockTexts(plot, ticks) {
  const { min, max } = plot.scales.x;
  return ticks.map((seconds) => {
    const text = moment(seconds * 1e9, { date: true });
    return max - min > 2 * 86400 ? text.slice(5, 10) : text.slice(11, 16);
  });
}

function options() {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
  const edge = { stroke: colour("soft"), width: 1, dash: [3, 3], points: { show: false } };
  return {
    legend: { show: false },
    cursor: { show: false },
    tzDate: (seconds) => (isUtc() ? window.uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC") : new Date(seconds * 1e3)),
    axes: [
      { ...axis, size: 22, space: 70, values: clockTexts },
      { ...axis, size: 46, space: 26 },
    ],
    series: [{}, edge, edge, { stroke: colour("accent"), width: 1.6, points: { show: true, size: 4, fill: colour("accent") } }],
    bands: [{ series: [2, 1], fill: `${colour("accent")}22` }],
  };
}
