UPDATE reviews SET mood = llm_classify(body, '{positive,negative}', examples =>
	'[{"input": "Great phone, love it.", "label": "positive"},
	  {"input": "It broke after two days.", "label": "negative"}]');
