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

/** Countries, states, territories and taxes. They are the same at any scale. */
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
