import { moment } from "./calendar";
import { money } from "./decimal";
import { readReference } from "./reference/read-reference";
import { fixed, type TableGenerators } from "./table-data";

export interface State {
  readonly id: number;
  readonly code: string;
  readonly country: string;
  readonly territory: number;
  readonly name: string;
  readonly city: string;
}

export const states: readonly State[] = readReference("states").map(
  ([code, country, territory, name, city], index) => ({
    id: index + 1,
    code: code!,
    country: country!,
    territory: Number(territory),
    name: name!,
    city: city!,
  }),
);

const currencies = readReference("currencies");

/** Currencies that have a rate to the dollar. */
export const quotedCurrencies = [
  ...["AUD", "BRL", "CAD", "CHF", "CNY", "DKK", "EUR"],
  ...["GBP", "INR", "JPY", "KRW", "MXN", "NZD", "SEK"],
] as const;

const territories = [
  ["Northwest", "US", "North America"],
  ["Northeast", "US", "North America"],
  ["Central", "US", "North America"],
  ["Southwest", "US", "North America"],
  ["Southeast", "US", "North America"],
  ["Canada", "CA", "North America"],
  ["France", "FR", "Europe"],
  ["Germany", "DE", "Europe"],
  ["Australia", "AU", "Pacific"],
  ["United Kingdom", "GB", "Europe"],
] as const;

/** Where the company does business: countries, states, territories, currencies and taxes, the same at any scale. */
export const regionTables: TableGenerators = {
  "person.countryregion": fixed(
    readReference("countries").map(([code, name]) => ({ countryregioncode: code!, name: name! })),
  ),

  "person.stateprovince": fixed(
    states.map((state) => ({
      stateprovinceid: state.id,
      stateprovincecode: state.code,
      countryregioncode: state.country,
      isonlystateprovinceflag: false,
      name: state.name,
      territoryid: state.territory,
    })),
  ),

  "sales.salesterritory": fixed(
    territories.map(([name, country, group], index) => ({
      territoryid: index + 1,
      name,
      countryregioncode: country,
      group,
      salesytd: money(210_000_000 + index * 73_412_377),
      saleslastyear: money(180_000_000 + index * 61_733_019),
      costytd: money(0),
      costlastyear: money(0),
    })),
  ),

  "sales.currency": fixed(currencies.map(([code, name]) => ({ currencycode: code!, name: name! }))),

  "sales.countryregioncurrency": fixed(
    currencies.flatMap(([currency, , countries]) =>
      countries!.split(" ").map((country) => ({ countryregioncode: country, currencycode: currency! })),
    ),
  ),

  "sales.currencyrate": (world) => {
    const perDay = Math.max(1, Math.round(world.rows("sales.currencyrate") / 13_532));
    return {
      count: world.rows("sales.currencyrate"),
      row: (index, random) => {
        const quotation = Math.floor(index / quotedCurrencies.length);
        const second = (quotation % perDay) * Math.floor(86_400 / perDay);
        const average = random.between(8_000, 12_000);
        return {
          currencyrateid: index + 1,
          currencyratedate: moment(Math.floor(quotation / perDay), second),
          fromcurrencycode: "USD",
          tocurrencycode: quotedCurrencies[index % quotedCurrencies.length]!,
          averagerate: money(average),
          endofdayrate: money(average + random.between(-90, 90)),
        };
      },
    };
  },

  "sales.salestaxrate": fixed(
    Array.from({ length: 29 }, (_, index) => {
      const state = states[index * 6]!;
      return {
        salestaxrateid: index + 1,
        stateprovinceid: state.id,
        taxtype: (index % 3) + 1,
        taxrate: money(500 + ((index * 175) % 1460)),
        name: `${state.name} sales tax`,
      };
    }),
  ),
};
