"""A Jira ticket: an API method as people paste it into a character's dashboard.

It was written for the open internet and knows nothing of exeat. Account and token are placeholders.
"""

import json

import requests
from requests.auth import HTTPBasicAuth

# Jira configuration
JIRA_DOMAIN = "mycompany.atlassian.net"
EMAIL = "somebody@example.com"
API_TOKEN = "jira-placeholder"
JIRA_PROJECT_KEY = "EX"
ISSUE_TYPE = "Story"  # Issue type: Story, Task, or Bug
API_ENDPOINT = f"https://{JIRA_DOMAIN}/rest/api/3/issue"

# Standard headers required by JIRA.
headers = {"Accept": "application/json", "Content-Type": "application/json"}


def create_jira_ticket(ticket_data):
    """
    Create a JIRA ticket using provided ticket_data dictionary.

    Expected ticket_data keys:
    - summary: (str) Brief summary of the issue.
    - description: (str) Detailed description of the issue.

    Returns:
    - JSON response if the ticket is created successfully.
    - Error message if there was an error.
    """
    # Convert plain text description to Atlassian Document Format
    description_adf = {
        "version": 1,
        "type": "doc",
        "content": [
            {
                "type": "paragraph",
                "content": [
                    {"type": "text", "text": ticket_data.get("description", "")}
                ],
            }
        ],
    }

    # Construct the payload for the JIRA issue
    payload = {
        "fields": {
            "project": {"key": JIRA_PROJECT_KEY},
            "summary": ticket_data.get("summary"),
            "description": description_adf,
            "issuetype": {"name": ISSUE_TYPE},
        }
    }

    # Convert the payload to a JSON string
    payload_json = json.dumps(payload)

    # Send a POST request to the JIRA API endpoint
    response = requests.post(
        API_ENDPOINT,
        data=payload_json,
        headers=headers,
        auth=HTTPBasicAuth(EMAIL, API_TOKEN),
    )

    # Check for a successful creation (HTTP 201 Created)
    if response.status_code == 201:
        return response.json()
    else:
        return {"error": f"Failed to create ticket: {response.status_code}"}


def handle_event(data):
    return create_jira_ticket(data)
