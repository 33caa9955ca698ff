import assert from "node:assert/strict";
import { Display } from "../../tools/pulumi-host/display";

const urn = "urn:pulumi:dev::project::pulumi-nodejs:dynamic:Resource::db";

function displayOn(screen: { isTTY: boolean; columns: number }) {
  const shown = { text: "", now: 0 };
  const write = (text: string) => (shown.text += text);
  return { shown, display: new Display({ ...screen, write }, () => shown.now) };
}

describe("the display", () => {
  it("prints a changed status every few seconds at most without a terminal", () => {
    const { shown, display } = displayOn({ isTTY: false, columns: 80 });
    display.show({ kind: "step-started", op: "create", urn });
    for (const [at, message] of [
      [1000, "copying 1 %"],
      [1500, "copying 2 %"],
      [5000, "copying 3 %"],
      [9000, "copying 3 %"],
    ] as const) {
      shown.now = at;
      display.show({ kind: "status", urn, message });
    }
    shown.now = 61_000;
    display.show({ kind: "step-finished", op: "create", urn });
    display.close();
    assert.deepEqual(shown.text.trimEnd().split("\n"), [
      "  + pulumi-nodejs:dynamic:Resource db create copying 1 % (1s)",
      "  + pulumi-nodejs:dynamic:Resource db create copying 3 % (5s)",
      "  + pulumi-nodejs:dynamic:Resource db create done (1m01s)",
    ]);
  });

  it("keeps one line for each running step on a terminal, below the messages", () => {
    const { shown, display } = displayOn({ isTTY: true, columns: 60 });
    display.show({ kind: "step-started", op: "create", urn });
    display.show({ kind: "status", urn, message: "x".repeat(100) });
    shown.text = "";
    display.show({ kind: "diagnostic", severity: "warning", message: "slow disk", urn });
    display.close();
    const [erased, running, end] = shown.text.split("\n");
    assert.equal(erased, "\u001b[1A\u001b[Jwarning: pulumi-nodejs:dynamic:Resource db: slow disk");
    assert.equal(running?.length, 59);
    assert.equal(end, "\u001b[1A\u001b[J");
  });
});
