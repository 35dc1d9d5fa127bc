// The course of map_max against the threshold over the strip's records, drawn by uPlot.

export class ScoreChart {
  constructor(holder) {
    this.holder = holder;
    this.records = [];
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(holder);
    document.addEventListener("edge:theme", () => {
      this.plot?.destroy();
      this.plot = null;
      this.show(this.records);
    });
  }

  size() {
    return { width: Math.max(this.holder.clientWidth, 100), height: 150 };
  }

  show(records) {
    this.records = records;
    const judged = records.filter((record) => record.map_max !== null);
    const data = [
      judged.map((_, index) => index - judged.length + 1),
      judged.map((record) => record.map_max),
      judged.map((record) => record.threshold),
    ];
    if (!this.plot) this.plot = new window.uPlot(this.options(), data, this.holder);
    else if (!this.due) {
      this.due = setTimeout(() => {
        this.due = null;
        this.plot?.setData(this.data);
      }, 250);
    }
    this.data = data;
  }

  options() {
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "12px sans-serif" };
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false } },
      axes: [
        { ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "now" : String(tick))) },
        { ...axis, size: 48 },
      ],
      series: [{}, { stroke: colour("accent"), width: 1.2, points: { show: false } }, { stroke: colour("fail"), width: 1.4, dash: [5, 4], points: { show: false } }],
    };
  }
}
