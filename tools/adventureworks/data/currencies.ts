import { moment } from "./calendar";
import { decimal } from "./decimal";
import { readReference } from "./reference/read-reference";
import { fixed, type TableGenerators } from "./table-data";
import type { World } from "./world";

const currencies = readReference("currencies");

/** Currencies that have a rate to the dollar. */
const quoted = [
  ...["AUD", "BRL", "CAD", "CHF", "CNY", "DKK", "EUR"],
  ...["GBP", "INR", "JPY", "KRW", "MXN", "NZD", "SEK"],
] as const;

const currencyOf = new Map(Object.entries({ AU: "AUD", CA: "CAD", DE: "EUR", FR: "EUR", GB: "GBP" }));

/** Rates per day: one, or more if the scale requires more rows than days. */
function quotationsPerDay(world: World): number {
  return Math.max(1, Math.round(world.scale));
}

/** The identifier of the latest rate on a day for a country's currency. Null if the country pays in dollars. */
export function rateOf(world: World, country: string, day: number): number | null {
  const currency = quoted.findIndex((code) => code === currencyOf.get(country));
  if (currency === -1) return null;
  const quotations = Math.floor(world.rows("sales.currencyrate") / quoted.length);
  const quotation = Math.min(day * quotationsPerDay(world), quotations - 1);
  return quotation < 0 ? null : quotation * quoted.length + currency + 1;
}

/** Currencies, their countries and their rates. */
export const currencyTables: TableGenerators = {
  "sales.currency": fixed(currencies.map(([code, name]) => ({ currencycode: code!, name: name! }))),

  "sales.countryregioncurrency": fixed(
    currencies.flatMap(([currency, , countries]) =>
      countries!.split(" ").map((country) => ({ countryregioncode: country, currencycode: currency! })),
    ),
  ),

  "sales.currencyrate": (world) => {
    const perDay = quotationsPerDay(world);
    return {
      count: world.rows("sales.currencyrate"),
      row: (index, random) => {
        const quotation = Math.floor(index / quoted.length);
        const second = (quotation % perDay) * Math.floor(86_400 / perDay);
        const average = random.between(8_000, 12_000);
        return {
          currencyrateid: index + 1,
          currencyratedate: moment(Math.floor(quotation / perDay), second),
          fromcurrencycode: "USD",
          tocurrencycode: quoted[index % quoted.length]!,
          averagerate: decimal(average, 4),
          endofdayrate: decimal(average + random.between(-90, 90), 4),
        };
      },
    };
  },
};
