import { catalogue } from "../catalogue";
import { date, moment } from "./calendar";
import { money } from "./decimal";
import { emailOf, personAt } from "./people";
import { resume } from "./documents/person-documents";
import { Random, seedOf } from "./random";
import { fixed, type TableGenerators } from "./table-data";
import type { World } from "./world";

const hireSeed = seedOf("hire");

const jobTitles = [
  ...["Production Technician", "Production Supervisor", "Quality Assurance Technician", "Buyer", "Design Engineer"],
  ...["Tool Designer", "Marketing Specialist", "Accountant", "Network Administrator", "Janitor", "Stocker"],
];

function hireDay(employee: number): number {
  return -new Random(hireSeed, employee).below(1_500);
}

function jobTitle(world: World, employee: number, random: Random): string {
  if (employee === 0) return "Chief Executive Officer";
  if (employee >= world.employees - world.salespeople) return "Sales Representative";
  return random.pick(jobTitles);
}

/** Employees with their departments, shifts and pay. */
export const employeeTables: TableGenerators = {
  "humanresources.department": fixed(catalogue.departments),

  "humanresources.shift": fixed([
    { shiftid: 1, name: "Day", starttime: "07:00:00", endtime: "15:00:00" },
    { shiftid: 2, name: "Evening", starttime: "15:00:00", endtime: "23:00:00" },
    { shiftid: 3, name: "Night", starttime: "23:00:00", endtime: "07:00:00" },
  ]),

  "humanresources.employee": (world) => ({
    count: world.employees,
    row: (index, random) => ({
      businessentityid: index + 1,
      nationalidnumber: String(100_000_000 + index * 7 + random.below(7)),
      loginid: `adventure-works\\${emailOf(index).split("@")[0]!}`,
      jobtitle: jobTitle(world, index, random),
      birthdate: date(-random.between(9_000, 20_000)),
      maritalstatus: random.pick(["M", "S"]),
      gender: personAt(index).gender,
      hiredate: date(hireDay(index)),
      salariedflag: random.chance(0.18),
      vacationhours: random.below(100),
      sickleavehours: random.between(20, 80),
      currentflag: true,
      organizationnode: index === 0 ? "/" : `/${(index % 6) + 1}/${Math.floor(index / 6) + 1}/`,
    }),
  }),

  "humanresources.employeedepartmenthistory": (world) => {
    const count = Math.max(world.employees, world.rows("humanresources.employeedepartmenthistory"));
    return {
      count,
      row: (index, random) => {
        const employee = index % world.employees;
        const term = Math.floor(index / world.employees);
        const hasNext = index + world.employees < count;
        return {
          businessentityid: employee + 1,
          departmentid: random.between(1, catalogue.departments.length),
          shiftid: random.between(1, 3),
          startdate: date(hireDay(employee) + term * 400),
          enddate: hasNext ? date(hireDay(employee) + term * 400 + 399) : null,
        };
      },
    };
  },

  "humanresources.employeepayhistory": (world) => ({
    count: Math.max(world.employees, world.rows("humanresources.employeepayhistory")),
    row: (index, random) => {
      const employee = index % world.employees;
      const raise = Math.floor(index / world.employees);
      return {
        businessentityid: employee + 1,
        ratechangedate: moment(hireDay(employee) + raise * 365),
        rate: money(random.between(650, 4_000) + raise * 300),
        payfrequency: random.between(1, 2),
      };
    },
  }),

  "humanresources.jobcandidate": (world) => ({
    count: world.rows("humanresources.jobcandidate"),
    row: (index, random) => {
      const person = index % world.employees;
      return {
        jobcandidateid: index + 1,
        businessentityid: index % 6 === 0 ? person + 1 : null,
        resume: resume(random, personAt(person), emailOf(person)),
      };
    },
  }),
};
