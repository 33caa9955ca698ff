import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";

export interface Asset {
  readonly type: string;
  readonly content: Buffer;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** The page's files by name, read once: a request can name none but these. */
export async function loadAssets(): Promise<Map<string, Asset>> {
  const folder = join(__dirname, "page");
  const names = (await readdir(folder)).filter((name) => extname(name) in types);
  const assets = names.map(async (name): Promise<[string, Asset]> => {
    return [name, { type: types[extname(name)]!, content: await readFile(join(folder, name)) }];
  });
  return new Map(await Promise.all(assets));
}
