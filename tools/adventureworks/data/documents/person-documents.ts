import { date, daysOfBusiness } from "../calendar";
import { money } from "../decimal";
import type { Person } from "./person";
import type { Random } from "../random";
import { educations, incomes, occupations, companyWords, sentences, streetKinds, streets, vendorKinds } from "./words";
import { elements, escapeXml } from "./xml";

const survey = "urn:adventureworks:individual-survey";
const contact = "urn:adventureworks:additional-contact-info";
const resumeNamespace = "urn:adventureworks:resume";

/** What a customer answered to the survey: about 600 characters. */
export function personDemographics(random: Random, person: Person): string {
  const children = random.below(6);
  const content = elements({
    TotalPurchaseYTD: money(random.below(900_000)),
    DateFirstPurchase: date(random.below(daysOfBusiness)),
    BirthDate: date(-random.between(8_000, 24_000)),
    MaritalStatus: random.pick(["M", "S"]),
    YearlyIncome: random.pick(incomes),
    Gender: person.gender,
    TotalChildren: children,
    NumberChildrenAtHome: random.below(children + 1),
    Education: random.pick(educations),
    Occupation: random.pick(occupations),
    HomeOwnerFlag: random.below(2),
    NumberCarsOwned: random.below(5),
    CommuteDistance: random.pick(["0-1 Miles", "1-2 Miles", "2-5 Miles", "5-10 Miles", "10+ Miles"]),
  });
  return `<IndividualSurvey xmlns="${survey}">${content}</IndividualSurvey>`;
}

export function additionalContactInfo(random: Random): string {
  const phone = () => `${random.between(200, 989)}-555-01${random.digits(2)}`;
  const content = elements({
    Telephone: phone(),
    Pager: phone(),
    Street: `${random.between(1, 9_999)} ${random.pick(streets)} ${random.pick(streetKinds)}`,
    City: "Bellevue",
    StateProvince: "WA",
    PostalCode: `980${random.digits(2)}`,
    CountryRegion: "US",
    EMail: `private${random.digits(6)}@mail.example`,
    Note: escapeXml(`Prefers to be called after noon. ${random.pick(sentences)}`),
  });
  return `<AdditionalContactInfo xmlns="${contact}">${content}</AdditionalContactInfo>`;
}

/** A curriculum vitae of one to four jobs and one or two degrees: about 2,000 characters. */
export function resume(random: Random, person: Person, email: string): string {
  const content = elements({
    Name: elements({
      Prefix: person.gender === "F" ? "Ms." : "Mr.",
      First: person.given,
      Last: escapeXml(person.family),
    }),
    Skills: escapeXml(Array.from({ length: 5 }, () => random.pick(sentences)).join(" ")),
    ...{ EMail: email, WebSite: `https://resumes.example/${person.given.toLowerCase()}` },
    Address: elements({
      Type: "Home",
      Street: `${random.between(1, 999)} ${random.pick(streets)} Street`,
      City: "Seattle",
    }),
  });
  const jobs = Array.from({ length: random.between(1, 4) }, (_, index) => employment(random, index));
  const degrees = Array.from({ length: random.between(1, 2) }, (_, index) => education(random, index));
  return `<Resume xmlns="${resumeNamespace}">${content}${jobs.join("")}${degrees.join("")}</Resume>`;
}

function employment(random: Random, index: number): string {
  const end = -index * 1_200 - random.below(200);
  const content = elements({
    StartDate: date(end - random.between(400, 1_000)),
    EndDate: date(end),
    OrgName: escapeXml(`${random.pick(companyWords)} ${random.pick(vendorKinds)}`),
    JobTitle: random.pick(["Assembler", "Buyer", "Designer", "Engineer", "Machinist", "Sales Associate"]),
    Responsibility: escapeXml(`${random.pick(sentences)} ${random.pick(sentences)}`),
    FunctionCategory: random.pick(["Engineering", "Production", "Purchasing", "Sales"]),
    IndustryCategory: "Manufacturing",
    Country: "US",
    State: random.pick(["CA", "MI", "OR", "WA"]),
    City: random.pick(["Everett", "Fresno", "Lansing", "Salem"]),
  });
  return `<Employment>${content}</Employment>`;
}

function education(random: Random, index: number): string {
  const end = -5_000 - index * 1_500;
  const content = elements({
    Level: random.pick(["Associate", "Bachelor", "Master"]),
    StartDate: date(end - 1_300),
    EndDate: date(end),
    Degree: random.pick(["Bachelor of Science", "Bachelor of Arts", "Master of Engineering"]),
    Major: random.pick(["Business", "Design", "Mechanical Engineering", "Materials"]),
    Gpa: `3.${random.below(10)}`,
    GpaScale: 4,
    School: `${random.pick(companyWords)} University`,
    Country: "US",
    State: random.pick(["CA", "MI", "OR", "WA"]),
    City: random.pick(["Berkeley", "Ann Arbor", "Corvallis", "Pullman"]),
  });
  return `<Education>${content}</Education>`;
}
