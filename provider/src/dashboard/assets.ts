import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";

export interface Asset {
  readonly type: string;
  readonly content: Buffer;
}

const types: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".svg", "image/svg+xml"],
]);

/** Reads the page's files once, by name. A request cannot name any other file. */
export async function loadAssets(): Promise<Map<string, Asset>> {
  const folder = join(__dirname, "page");
  const assets = (await readdir(folder, { recursive: true })).map(async (name): Promise<[string, Asset][]> => {
    const type = types.get(extname(name));
    return type === undefined ? [] : [[name, { type, content: await readFile(join(folder, name)) }]];
  });
  return new Map((await Promise.all(assets)).flat());
}
