const words = (text: string): readonly string[] => text.trim().split(/\s+/);
const lines = (text: string): readonly string[] =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim());

export const givenNames = {
  F: words(`Abigail Alice Amélie Ana Anna Beatriz Bianca Camille Carla Carmen Caroline Chloé Claire Dana Deborah Diana
    Elena Elisa Emily Emma Eva Fatima Fiona Gabriela Grace Hannah Helen Ines Irene Isabel Jana Jasmine Julia Karen Kate
    Laura Lena Linda Lucy Maria Marta Megan Mia Nadia Natalie Nina Nora Olga Olivia Paula Rachel Rosa Ruth Samira Sara
    Sofia Stella Tamara Teresa Ursula Valerie Vera Wendy Xenia Yuki Zoe`),
  M: words(`Aaron Adam Adrian Alan Alex André Andrew Anton Ben Bruno Carl Carlos Charles Chris Daniel David Dennis
    Diego Dylan Edward Eli Emil Eric Felix Frank Gabriel George Hans Henry Hugo Ian Isaac Ivan Jack James Jason Joel
    José Juan Kenji Kevin Lars Leo Liam Louis Lucas Luis Marc Mark Martin Max Miguel Nathan Neil Noah Oscar Owen Pablo
    Patrick Paul Peter Ralph René Richard Robert Ryan Samuel Simon Thomas Tim Victor Walter Xavier Zachary`),
} as const;

export const familyNames = words(`Adams Alvarez Andersen Bailey Baker Barnes Bauer Becker Bell Bennett Bernard Brooks
  Brown Butler Campbell Carter Castro Chen Clark Coleman Collins Cook Cooper Cox Cruz Davies Davis Diaz Dubois Dupont
  Edwards Evans Fernández Fischer Flores Foster Fournier Garcia Gill Gomez Gonzalez Gray Green Griffin Gupta Hall
  Hansen Harris Hayes Henderson Hernandez Hill Hoffmann Howard Hughes Ito Jackson James Jenkins Johnson Jones Kelly
  Khan Kim King Klein Kumar Lal Lambert Lee Lefèvre Lewis Li Long Lopez Luo Martin Martínez Mehta Miller Mitchell
  Moore Moreno Morgan Morris Müller Murphy Navarro Nelson Nguyen O'Brien Ortega Owens Parker Patel Perez Perry
  Peterson Phillips Powell Prasad Price Raman Ramirez Reed Richardson Rivera Roberts Robinson Rodriguez Rogers Romero
  Ross Rossi Roux Russell Sánchez Sanders Schmidt Schneider Scott Serrano Shan Sharma Simmons Smith Sousa Stewart
  Subram Suarez Sun Suzuki Taylor Thomas Thompson Torres Tran Turner Vance Vega Wagner Walker Wang Ward Watson Weber
  White Williams Wilson Wood Wright Wu Xu Yang Young Zhang Zhao Zheng Zimmermann`);

export const streets = words(`Acorn Alder Ash Aspen Bay Beech Birch Bluff Bridge Brook Canyon Cedar Cherry Clay Cliff
  Clover Coral Creek Crescent Dale Elm Fern Forest Garden Glen Grove Harbor Hazel Hickory Hill Holly Island Ivy Juniper
  Lake Laurel Lime Linden Magnolia Maple Meadow Mill Mountain Oak Olive Orchard Park Pine Poplar Prairie Ridge River
  Rose Sage Sandy Spring Stone Summit Sunset Sycamore Timber Valley View Walnut Willow`);
export const streetKinds = words("Avenue Circle Court Drive Lane Place Road Street Way");

export const colors = words("Black Blue Grey Multi Red Silver White Yellow");

export const partAdjectives = words(`Adjustable Bearing Bottom Chain Crown External Flat Front Fork Guide Half Hex
  Internal Lock Lower Metal Paint Rear Seat Socket Thin Threaded Top Touring Upper`);
export const partNouns = words(`Axle Ball Bar Bolt Bracket Cap Cup Derailleur End Hub Jam Link Lug Nut Pin Plate Post
  Race Ring Rod Spoke Stay Stem Tube Washer`);

export const modelWords = words(`Alpine Bravo Canyon Cascade Comet Drifter Falcon Glacier Harrier Kestrel Lynx Meridian
  Nomad Orbit Pioneer Quest Ranger Ridge Sierra Sprint Summit Tempo Trail Vector`);

export const companyWords = words(`Active Advanced All-Terrain Bayside Central Champion City Coastal Country Downhill
  Eastside Elite Family First Friendly Gear Global Grand Greenway Highland Lakeside Local Metro Midtown Modern Mountain
  National Northern Original Outdoor Pacific Premier Quick Reliable Riverside Rural Southern Sturdy Sunny Superior
  Traditional Uptown Valley Vintage Westside Wholesale`);
export const storeKinds = lines(`Bicycle Company
  Bike Shop
  Bike Works
  Cycle Supply
  Cycles & Repair
  Riding Gear
  Sporting Goods
  Sports Store
  Wheel & Pedal`);
export const vendorKinds = lines(`Bicycle Components
  Fasteners Ltd.
  Forge & Casting
  Metal Works
  Paint & Finish
  Rubber Industries
  Saddlery
  Tyre Company
  Wheel Factory`);

export const occupations = words("Clerical Management Manual Professional Skilled-Manual");
export const educations = words("Bachelors Graduate-Degree High-School Partial-College Partial-High-School");
export const incomes = words("0-25000 25001-50000 50001-75000 75001-100000 greater-than-100000");

/** Things that are said of bicycles and of parts of them. */
export const sentences = lines(`All parts are checked by hand before they leave the factory.
  Built for long rides over rough ground.
  Comes with a warranty of two years on the frame.
  Easy to adjust with a single hex key.
  Keeps its colour in sun and rain.
  Light enough to carry up a flight of stairs.
  Made of heat-treated aluminium with smooth welds.
  Our best value for riders who commute every day.
  Quiet, precise and easy to clean.
  Reinforced where it wears most.
  Sealed bearings need no attention for years.
  Seams are taped & double-stitched.
  Stays stiff under load, yet damps small bumps.
  The wide range of gears makes hills < flat roads.
  Tested on more than 10,000 kilometres of road.
  Washable, breathable and quick to dry.`);
