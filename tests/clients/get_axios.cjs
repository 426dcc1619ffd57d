// GET with axios: get_axios.cjs URL. Prints what a caller sees, as JSON.
"use strict";

const axios = require("axios");

async function main(url) {
  // A refusal is an answer here, not an exception.
  const response = await axios.get(url, { validateStatus: () => true });
  const seen = {
    status: response.status,
    version: response.request.res.httpVersion,
    refusal: response.headers["exeat-refusal"] ?? "",
    body: response.data,
  };
  console.log(JSON.stringify(seen));
}

main(process.argv[2]);
