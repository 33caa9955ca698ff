import assert from "node:assert/strict";
import { allowedHostOption } from "../../provider/src/cli/options/allowed-hosts";

it("an empty name is no allowed Host", () => {
  const namesIn = (text: string, earlier?: readonly string[]): unknown =>
    allowedHostOption("names").parseArg!(text, earlier as never);
  assert.deepEqual(namesIn(""), []);
  assert.deepEqual(namesIn("one.example, two.example,", ["zero.example"]), [
    ...["zero.example", "one.example", "two.example"],
  ]);
});
