curl --location --request POST 'https://api.convai.com/character/update' \
--header 'CONVAI-API-KEY: <your api key>' \
--header 'Content-Type: application/json' \
--data-raw '{
    "charID": "<character ID>",
    "backstory": "As he puts it, “I’m a criminal. Criminals are notorious liars.” That’s probably true, actually, but who knows for sure.",
    "voiceType": "US MALE 1",
    "charName": "Raymond Reddington"
}'\

