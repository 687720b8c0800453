"""transformers on moby-tiny's safetensors: `python transformers_bitnet.py FOLDER HOW`.

HOW is `right`, with every missing scale set to 1, or one of the two ways in which it is wrong by
default: `scales-missing`, as the file's own config says, or `ternarised-again`. WRONG_ROPE_BASE
plants a fault.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import torch
import transformers
from transformers.models.bitnet import modeling_bitnet

import subject

FOLDER, HOW = sys.argv[1], sys.argv[2]


class Transformers(subject.Whole):
    name = f"transformers {transformers.__version__}, {HOW}"
    shows_nodes = True
    decodes = False

    def open(self, path):
        torch.manual_seed(1)
        torch.set_num_threads(1)
        config = transformers.AutoConfig.from_pretrained(FOLDER)
        if "WRONG_ROPE_BASE" in os.environ:
            wrong = float(os.environ["WRONG_ROPE_BASE"])
            config.rope_theta = wrong
            if getattr(config, "rope_parameters", None):
                config.rope_parameters["rope_theta"] = wrong
        mode = "online" if HOW == "ternarised-again" else "offline"
        config.quantization_config["quantization_mode"] = mode
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            FOLDER, config=config, dtype=torch.float32
        )
        # A table of halves stays one, whatever was asked for.
        for value in [*self.model.parameters(), *self.model.buffers()]:
            if value.is_floating_point():
                value.data = value.data.float()
        if HOW == "right":
            for name, value in self.model.named_buffers():
                if name.endswith("weight_scale"):
                    value.fill_(1.0)
            for name, value in self.model.named_parameters():
                if name.endswith("weight_scale"):
                    value.data.fill_(1.0)
        self.model.eval()
        self.watch()
        return self.model.config.vocab_size

    def watch(self):
        """The nodes that have a counterpart, under the names that llama.cpp has for them."""
        body = self.model.model
        self.layer = 0
        rotate = modeling_bitnet.apply_rotary_pos_emb

        def rotated(*arguments, **more):
            query, key = rotate(*arguments, **more)
            self.show(f"Qcur-{self.layer}|ROPE#0", query[0].transpose(0, 1).contiguous())
            self.show(f"Kcur-{self.layer}|ROPE#0", key[0].transpose(0, 1).contiguous())
            self.layer = (self.layer + 1) % len(body.layers)
            return query, key

        modeling_bitnet.apply_rotary_pos_emb = rotated
        self.hook(body.embed_tokens, "inp_embd|GET_ROWS#0")
        for i, layer in enumerate(body.layers):
            attention, mlp = layer.self_attn, layer.mlp
            for module, key in [
                (layer.input_layernorm, f"attn_norm-{i}|MUL#0"),
                (attention.q_proj, f"Qcur-{i}|MUL_MAT#0"),
                (attention.k_proj, f"Kcur-{i}|MUL_MAT#0"),
                (attention.v_proj, f"Vcur-{i}|MUL_MAT#0"),
                (attention.attn_sub_norm, f"attn_sub_norm-{i}|MUL#0"),
                (attention.o_proj, f"attn_o_out-{i}|MUL_MAT#0"),
                (layer.post_attention_layernorm, f"ffn_norm-{i}|MUL#0"),
                (mlp.gate_proj, f"ffn_gate-{i}|MUL_MAT#0"),
                (mlp.up_proj, f"ffn_up-{i}|MUL_MAT#0"),
                (mlp.ffn_sub_norm, f"ffn_sub_norm-{i}|MUL#0"),
                (mlp.down_proj, f"ffn_down-{i}|MUL_MAT#0"),
                (layer, f"l_out-{i}|ADD#0"),
            ]:
                self.hook(module, key)
        self.hook(body.norm, "result_norm|MUL#0")

    def hook(self, module, key):
        def shown(_, __, output):
            output = output[0] if isinstance(output, tuple) else output
            self.show(key, output[0] if output.dim() == 3 else output)

        module.register_forward_hook(shown)

    def logits(self, tokens):
        with torch.no_grad():
            return self.model(torch.tensor([tokens])).logits[0]


subject.serve(Transformers())
