import * as pulumi from "@pulumi/pulumi";

type Values = Readonly<Record<string, unknown>>;

/**
 * Combines a member's arguments with the defaults, key by key at every depth. Lists and outputs of the member replace those of
 * the defaults; outputs of servers are merged when they are known. A password or `auth` of the member replaces both.
 */
export function mergeArgs<Args extends object>(defaults: Args, own: Args): Args {
  return merge(defaults as Values, own as Values) as Args;
}

function merge(common: Values, own: Values): Values {
  const hasOwnLogin = own.password !== undefined || own.auth !== undefined;
  const { password: _password, auth: _auth, ...withoutLogin } = common;
  const merged: Record<string, unknown> = { ...(hasOwnLogin ? withoutLogin : common) };
  for (const [key, value] of Object.entries(own)) if (value !== undefined) merged[key] = mergeValue(merged[key], value);
  return merged;
}

function mergeValue(common: unknown, own: unknown): unknown {
  if (isPlain(common) && isPlain(own)) return merge(common, own);
  const isLater = [common, own].some((value) => pulumi.Output.isInstance(value) || value instanceof Promise);
  if (!isLater || !isObjectLike(common) || !isObjectLike(own)) return own;
  return pulumi
    .all([common, own])
    .apply(([known, given]: unknown[]) => (isPlain(known) && isPlain(given) ? merge(known, given) : given));
}

const isObjectLike = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

const isPlain = (value: unknown): value is Values =>
  isObjectLike(value) && !pulumi.Output.isInstance(value) && !(value instanceof Promise);
