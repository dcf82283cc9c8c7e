"""The same probabilities and the same greedy text as transformers."""

import pytest
import torch
from small_models import BYTES, random_model

from groundup.inference import SamplingSettings, generate, probabilities
from groundup.model import save_model


@pytest.mark.parametrize("seed", range(20))
def test_probabilities_are_those_of_the_logits_processors(seed):
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process as theirs

    draws = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(500, generator=draws, dtype=torch.float64)
    previous = torch.randint(500, (30,), generator=draws).tolist()
    settings = SamplingSettings(
        temperature=(0.3, 0.8, 1.0, 1.7)[seed % 4],
        top_k=(5, 50, 499)[seed % 3],
        top_p=(0.3, 0.9, 0.99)[seed % 3],
        min_p=(0.0, 0.01, 0.2)[seed % 3],
        repetition_penalty=(1.0, 1.3, 0.7)[seed % 3],
    )
    chain = LogitsProcessorList(
        [
            theirs.RepetitionPenaltyLogitsProcessor(settings.repetition_penalty),
            theirs.TemperatureLogitsWarper(settings.temperature),
            theirs.TopKLogitsWarper(settings.top_k),
            theirs.TopPLogitsWarper(settings.top_p),
            theirs.MinPLogitsWarper(settings.min_p),
        ]
    )
    expected = chain(torch.tensor([previous]), logits[None].clone())[0].softmax(0)
    torch.testing.assert_close(probabilities(logits, settings, previous), expected, atol=1e-12, rtol=1e-9)


def test_greedy_text_is_that_of_transformers(tmp_path):
    import transformers

    model = random_model(6, context=64)
    save_model(model, tmp_path, tokenizer=BYTES.to_json().encode(), eos_id=BYTES.eos_id)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for prompt in ("Once upon", "é"):
        inputs = tokenizer(prompt, return_tensors="pt")
        whole = theirs.generate(**inputs, do_sample=False, max_new_tokens=40)[0].tolist()
        new = whole[inputs["input_ids"].shape[1] :]
        if new[-1] == BYTES.eos_id:
            new.pop()
        ours = generate(model, BYTES, [prompt], SamplingSettings(temperature=0, max_new_tokens=40))[0]
        assert list(ours.token_ids) == new
