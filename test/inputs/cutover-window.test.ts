import assert from "node:assert/strict";
import { checkInputs } from "../../provider/src/inputs/check-inputs";
import { windowPhase } from "../../provider/src/inputs/cutover-window";
import { instantsOf } from "../../provider/src/units/zoned-time";

const hourMs = 3_600_000;
const iso = (instants: readonly number[]): string[] => instants.map((instant) => new Date(instant).toISOString());

describe("the cutover window", () => {
  const failures = (cutoverWindow: unknown, changes: Record<string, unknown> = {}): string[] =>
    checkInputs({
      ...{ migrationName: "crm", migrationMode: "Online", dbsToMigrate: ["crm"], cutoverWindow },
      ...{ source: { host: "s", user: "u", password: "p" }, target: { host: "t", user: "u", password: "p" } },
      ...changes,
    }).failures.map(({ property, reason }) => `${property}: ${reason}`);

  it("has the times that clocks of its zone show, before and after they are set", () => {
    for (const [time, zone, expected] of [
      ["2030-02-01T02:00", "Europe/Berlin", ["2030-02-01T01:00:00.000Z"]],
      ["2030-07-01T02:00", "Europe/Berlin", ["2030-07-01T00:00:00.000Z"]],
      ["2030-03-31T01:59:59", "Europe/Berlin", ["2030-03-31T00:59:59.000Z"]],
      ["2030-03-31T02:30", "Europe/Berlin", []],
      ["2030-03-31T03:00", "Europe/Berlin", ["2030-03-31T01:00:00.000Z"]],
      ["2030-10-27T02:30", "Europe/Berlin", ["2030-10-27T00:30:00.000Z", "2030-10-27T01:30:00.000Z"]],
      ["2030-10-27T02:30:00+02:00", "Europe/Berlin", ["2030-10-27T00:30:00.000Z"]],
      ["2030-01-01T00:00", "Asia/Kathmandu", ["2029-12-31T18:15:00.000Z"]],
      ["2030-01-01T00:00", "Pacific/Kiritimati", ["2029-12-31T10:00:00.000Z"]],
      ["2030-01-01T00:00", "Etc/GMT+12", ["2030-01-01T12:00:00.000Z"]],
      ["2011-12-30T12:00", "Pacific/Apia", []],
      ["2030-01-01T00:00", "UTC", ["2030-01-01T00:00:00.000Z"]],
    ] as const)
      assert.deepEqual(iso(instantsOf(time, zone)), expected, `${time} ${zone}`);
  });

  it("finds every hour of the days on which clocks are set, also by half an hour", () => {
    for (const [timeZone, day] of [
      ["Europe/Berlin", "2030-03-31"],
      ["America/New_York", "2030-11-03"],
      ["Australia/Lord_Howe", "2030-04-07"],
      ["America/St_Johns", "2030-03-10"],
      ["Africa/Casablanca", "2030-02-03"],
    ] as const) {
      const clock = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
      const first = Date.parse(`${day}T00:00:00Z`) - 24 * hourMs;
      for (let instant = first; instant < first + 72 * hourMs; instant += hourMs / 2) {
        const shown = clock.format(instant).replace(" ", "T");
        assert(instantsOf(shown, timeZone).includes(instant), `${shown} ${timeZone}`);
      }
    }
  });

  it("is ahead, open or over", () => {
    const window = { start: "2030-02-01T02:00", end: "2030-02-01T05:00", timeZone: "Europe/Berlin" };
    const at = (time: string) => windowPhase(window, Date.parse(time));
    assert.deepEqual(
      ["2030-02-01T00:59:59Z", "2030-02-01T01:00:00Z", "2030-02-01T03:59:59Z", "2030-02-01T04:00:00Z"].map(at),
      ["ahead", "open", "open", "over"],
    );
    assert.equal(windowPhase(undefined), "open");
  });

  it("is refused with the name of its wrong part", () => {
    const [start, end] = ["2030-02-01T02:00", "2030-02-01T05:00"];
    const berlin = "Europe/Berlin";
    assert.deepEqual(failures({ start, end, timeZone: berlin }), []);
    assert.deepEqual(failures({ start: "2030-02-01T02:00:00Z", end: "2030-02-01T02:00:00-01:00" }), []);
    for (const [given, expected] of [
      [{ start }, /^cutoverWindow\.end: /],
      [{ start: "02:00", end }, /^cutoverWindow\.start: give a time such as 2030-02-01T02:00/],
      [{ start, end: "2030-02-30T05:00" }, /^cutoverWindow\.end: give a time/],
      [{ start, end, timeZone: "Europe/Berln" }, /^cutoverWindow\.timeZone: unknown time zone/],
      [{ start, end: start }, /^cutoverWindow\.end: the window ends before it starts at 2030-02-01T02:00$/],
      [
        { start: "2030-03-31T02:30", end: "2030-03-31T05:00", timeZone: berlin },
        /^cutoverWindow\.start: 2030-03-31T02:30 does not exist in Europe\/Berlin/,
      ],
      [
        { start: "2030-10-27T01:00", end: "2030-10-27T02:30", timeZone: berlin },
        /^cutoverWindow\.end: 2030-10-27T02:30 occurs twice in Europe\/Berlin.* with an offset$/,
      ],
      [{ start, end, zone: berlin }, /^cutoverWindow/],
    ] as const) {
      const found = failures(given);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0]!, expected);
    }
    assert.match(
      failures({ start, end }, { migrationMode: "Offline" }).join(),
      /^cutoverWindow: an offline migration has no cutover/,
    );
  });
});
