"""Current weather for a city: an API method as people paste it into a character's dashboard.

It was written for the open internet and knows nothing of exeat. The key is a placeholder.
"""

import requests

API_KEY = "openweather-placeholder"


def handle_event(data):
    city = data.get("city")
    url = f"https://api.openweathermap.org/data/2.5/weather?q={city}&appid={API_KEY}"
    response = requests.get(url)
    weather_data = response.json()
    return {"weather": weather_data["weather"][0]["description"]}
