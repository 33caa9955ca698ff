import { escapeLine } from "../../units/terminal-text.js";
import { colorize } from "./colorize.js";

/** Redraws its lines in place. */
export class Screen {
  #drawn = 0;

  draw(lines: readonly string[]): void {
    // 0 on a terminal of unknown size.
    const columns = process.stdout.columns || 80;
    const rows = process.stdout.rows || 24;
    const shown = lines.slice(0, rows - 1).map((line) => escapeLine(line).slice(0, columns - 1));
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\x1b[J` : "";
    const painted = process.stdout.hasColors() ? shown.map(colorize) : shown;
    process.stdout.write(`${back}${painted.join("\n")}\n`);
    this.#drawn = shown.length;
  }
}
