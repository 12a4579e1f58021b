"""The settings of RouteBalance: everything that `routing_strategy_args` may hold, and nothing else.

Every field is described here once. Errors name the setting, its value and what is allowed. The settings of
one deployment are in its `model_info.routebalance`.
"""

from rb_litellm.config.cascade import BestOfSettings, CascadeSettings, JudgeSettings
from rb_litellm.config.decision import (
    AdmissionSettings,
    AffinitySettings,
    AgentSettings,
    ExplorationSettings,
    HoldSettings,
    PriceSettings,
    PriorityWait,
    SloSettings,
    TargetSettings,
)
from rb_litellm.config.deployment import DeploymentSettings, parse_deployment
from rb_litellm.config.errors import SettingsError, explain, shown
from rb_litellm.config.grades import FeedbackSettings, ShadowEvaluationSettings
from rb_litellm.config.group import RouteBalanceSettings, parse_settings
from rb_litellm.config.overrides import Cap, CapName, ControlName, ControlNames, OverrideSettings
from rb_litellm.config.predictor import PackagedPredictor, PredictorSetting, PredictorSettings
from rb_litellm.config.state import LeaseSettings, RedisSettingsArgs, ScrapeSettings
from rb_litellm.config.values import (
    Milliseconds,
    NormSetting,
    ObjectiveName,
    QualityNormSetting,
    RequestsPerMinute,
    Usd,
    WeightsSetting,
)

__all__ = [
    "AdmissionSettings",
    "AffinitySettings",
    "AgentSettings",
    "BestOfSettings",
    "Cap",
    "CapName",
    "CascadeSettings",
    "ControlName",
    "ControlNames",
    "DeploymentSettings",
    "ExplorationSettings",
    "FeedbackSettings",
    "HoldSettings",
    "JudgeSettings",
    "LeaseSettings",
    "Milliseconds",
    "NormSetting",
    "ObjectiveName",
    "OverrideSettings",
    "PackagedPredictor",
    "PredictorSetting",
    "PredictorSettings",
    "PriceSettings",
    "PriorityWait",
    "QualityNormSetting",
    "RedisSettingsArgs",
    "RequestsPerMinute",
    "RouteBalanceSettings",
    "ScrapeSettings",
    "SettingsError",
    "ShadowEvaluationSettings",
    "SloSettings",
    "TargetSettings",
    "Usd",
    "WeightsSetting",
    "explain",
    "parse_deployment",
    "parse_settings",
    "shown",
]
