import { hiddenSecret, secretTexts, type PropertyMap } from "./property-value";

/** The same minimum as in the CLI. Hiding shorter texts would make the output unreadable. */
const shortest = 3;

/** Hides learned secrets in displayed texts. */
export class Mask {
  readonly #secrets = new Set<string>();

  learn(text: string): void {
    for (const form of [text, JSON.stringify(text).slice(1, -1)]) {
      if (form.trim().length >= shortest) this.#secrets.add(form);
    }
    const lines = text.split("\n").map((line) => line.trim());
    // A long secret such as a private key is often shown line by line.
    if (lines.length > 1) lines.filter((line) => line.length >= 16).forEach((line) => this.#secrets.add(line));
  }

  learnFrom(map: PropertyMap): void {
    for (const text of secretTexts(map)) this.learn(text);
  }

  hide(text: string): string {
    const longestFirst = [...this.#secrets].sort((left, right) => right.length - left.length);
    return longestFirst.reduce((shown, secret) => shown.replaceAll(secret, hiddenSecret), text);
  }
}
